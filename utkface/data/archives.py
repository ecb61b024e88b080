"""Unpacking archives that come from strangers.

Only regular image files are written, and none outside the folder: tarfile's ``data`` filter refuses
such paths, zipfile writes them inside. What is cut short or damaged is refused as a whole.
"""

import gzip
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from utkface.io import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")  # of data sets; a prediction takes more
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_TAR_BLOCK = 512

# What the readers raise for broken bytes; an encrypted zip is a RuntimeError.
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error),
    *(EOFError, RuntimeError, ValueError),
)


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
    is_zip = archive.name.lower().endswith(".zip")
    try:
        (_unpack_zip if is_zip else _unpack_tar)(archive, folder)
    except tarfile.FilterError as error:
        raise UserError(f"{archive} is not safe to unpack: {error}; get a new copy") from error
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{archive} is damaged: {reason}; get a new copy") from error


def _unpack_zip(archive: Path, folder: Path) -> None:
    """Write the images of a .zip; a link in it becomes a file with the link's text."""
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            info.filename = info.filename.replace("\\", "/")  # some Windows programs write them
            if is_image_name(PurePosixPath(info.filename).name):
                packed.extract(info, folder)


def _unpack_tar(archive: Path, folder: Path) -> None:
    """Write the images of a .tar, gzipped or not, and read it to its very end."""
    with archive.open("rb") as stream:
        is_gzip = stream.read(2) == b"\x1f\x8b"
    with tarfile.open(archive, "r:gz" if is_gzip else "r:") as packed:
        for info in packed:
            if info.isdir() or not is_image_name(PurePosixPath(info.name).name):
                continue
            if not info.isreg():  # the filter lets links within the folder pass
                raise tarfile.SpecialFileError(info)
            packed.extract(info, folder, filter="data")
        unpacked = packed.fileobj
        assert unpacked is not None
        # tarfile takes a damaged header for the end; the real end is a block of zeros.
        unpacked.seek(packed.offset)
        if unpacked.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
            raise tarfile.ReadError("it breaks off or has a damaged header")
        while unpacked.read(2**20):  # gzip's checksum comes last
            pass
