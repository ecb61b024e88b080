"""Unpacking archives that come from strangers.

Only regular image files are written. An archive that names a path outside its folder, holds a link
or a device, or unpacks to more than any set of faces would, is refused as a whole: such an archive
is either broken or meant to harm.
"""

import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from utkface.io import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")  # of data sets; a prediction takes more
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
MAX_MEMBERS = 500_000  # UTKFace has 23,708
MAX_TOTAL_BYTES = 16 * 2**30  # UTKFace has 0.14 GB, its uncropped edition 1.5 GB
MAX_MEMBER_BYTES = 64 * 2**20
_TAR_BLOCK = 512

# What the readers raise for broken bytes, beside an OSError without a number; an encrypted zip is a
# RuntimeError.
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, lzma.LZMAError),
    *(EOFError, RuntimeError, ValueError),
)
#: A regular file in an archive: its name, its size in bytes, and what opens it.
_Member = tuple[str, int, Callable[[], IO[bytes] | None]]


class _Refused(Exception):  # noqa: N818 - a verdict on an archive, told as a UserError
    """An archive that can be read but should not be; the message is the reason."""


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive of a kind that `unpack` reads."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def is_image_name(name: str, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> bool:
    """Tell whether a file name, without folders, has the look of an image and is not hidden."""
    return name.lower().endswith(suffixes) and not name.startswith(".")


def unpack(archive: Path, folder: Path) -> None:
    """Write the image files of an archive into a folder.

    Raises `UserError` when the archive is broken or not safe; the folder may then hold a part.
    """
    members = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    num_members = total_bytes = 0
    try:
        for name, num_bytes, open_member in members(archive):
            num_members += 1
            total_bytes += num_bytes
            if num_members > MAX_MEMBERS or total_bytes > MAX_TOTAL_BYTES:
                raise _Refused(
                    f"it unpacks to more than {MAX_MEMBERS:,} files or {MAX_TOTAL_BYTES:,} bytes"
                )
            path = _safe_path(name)
            if not is_image_name(path.name):
                continue
            if num_bytes > MAX_MEMBER_BYTES:
                raise _Refused(f"{name} is larger than {MAX_MEMBER_BYTES:,} bytes")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            stream = open_member()
            assert stream is not None  # what is no regular file was refused
            with stream, (folder / path).open("wb") as output:
                shutil.copyfileobj(stream, output)
    except _Refused as refusal:
        raise UserError(f"{archive} is not safe to unpack: {refusal}; get a new copy") from None
    except (OSError, *_BROKEN) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{archive} is damaged: {reason}; get a new copy") from error


def _safe_path(name: str) -> PurePosixPath:
    """Return a member's path, which must stay inside the folder that it is unpacked into."""
    path = PurePosixPath(name.replace("\\", "/"))  # some Windows programs write them
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        raise _Refused(f"it holds the path {name!r}, outside its own folder")
    return path


def _zip_members(archive: Path) -> Iterator[_Member]:
    """Read the files of a .zip in order."""
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where made by other than Unix
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Refused(f"{info.filename!r} is a link or a device")
            if not info.is_dir():
                yield info.filename, info.file_size, partial(packed.open, info)


def _tar_members(archive: Path) -> Iterator[_Member]:
    """Read the files of a .tar, gzipped or not, in order, to its very end."""
    with archive.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = _BoundedReader(cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_gzip else raw)
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as packed:
            for info in packed:
                if info.isdir():
                    continue
                if not info.isreg():
                    raise _Refused(f"{info.name!r} is a link or a device")
                yield info.name, info.size, partial(packed.extractfile, info)
            # tarfile takes a damaged header for the end; the real end is a block of zeros.
            stream.seek(packed.offset)
            if stream.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
                raise tarfile.ReadError("it breaks off or has a damaged header")
        while stream.read(2**20):  # gzip's checksum comes last
            pass


class _BoundedReader:
    """A stream that refuses to become a bomb: tarfile itself reads headers of any length."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, num_bytes: int) -> bytes:
        if num_bytes > MAX_MEMBER_BYTES:
            raise _Refused(f"it holds a header of more than {MAX_MEMBER_BYTES:,} bytes")
        return self._stream.read(num_bytes)

    def seek(self, position: int) -> int:
        if position > 2 * MAX_TOTAL_BYTES:  # twice: the headers between the files count here
            raise _Refused(f"it unpacks to more than {MAX_TOTAL_BYTES:,} bytes")
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()
