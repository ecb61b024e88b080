"""The packed cache: every face decoded once into one uint8 array that all trials map into memory.

Two files: ``<key>.npy``, the pixels, and ``<key>.csv``, one row per face file with its hashes, its
group of copies, or the reason why it has no row in the array. The key is a hash of the content of
all files, the image size, `VERSION` and the versions of the libraries that decode and hash, so a
change of any of them makes another cache.
The table is written last; whatever does not agree with it is built again. Both are written under a
temporary name and are the same whoever writes them, so processes that build the same cache at once
replace each other's files with equal ones.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from utkface.data import duplicates, images
from utkface.io import UserError, map_files, replacing

#: Raised when the same files come to give other pixels, hashes or groups (images.py,
#: duplicates.py); a test knows today's.
VERSION = 1

_COLUMNS = ["file", "sha256", "phash", "group", "reason"]


class FaceFile(NamedTuple):
    """A file whose name gives labels, and the sha256 of its content."""

    path: Path
    sha256: str


class PackedFaces(NamedTuple):
    """A cache that has been opened."""

    rows: pd.DataFrame  # file, sha256, phash, group, reason: one row per file, all text
    images: np.ndarray  # (N, S, S, 3) uint8, read-only memory map: a row per file without reason
    path: Path


def hash_files(paths: Sequence[Path]) -> list[str]:
    """Return the sha256 of each file, as hex; raises `UserError` if one cannot be read."""
    return list(map_files(lambda path: _sha256(_read_bytes(path)), paths, "Reading face files"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def read_unchanged(file: FaceFile) -> bytes:
    """Return a file's content, which must be what it was when the faces were read."""
    data = _read_bytes(file.path)
    if _sha256(data) != file.sha256:
        raise UserError(f"{file.path} changed since the faces were read; run the command again")
    return data


def load_packed(files: Sequence[FaceFile], image_size: int, folder: Path) -> PackedFaces:
    """Open the cache of these files, in this order, in ``folder``; build it where there is none.

    Raises `UserError` when the disk is full or a file changes while it is read.
    """
    path = folder / f"{_cache_key(files, image_size)}.npy"
    packed = _open(path, files, image_size)
    if packed is None:
        _build(path, files, image_size)
        packed = _open(path, files, image_size)
        assert packed is not None, f"{path} cannot be read back"
    return packed


def open_packed(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Map this machine's packed pixels at ``path``, or return None where none of that shape are."""
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # np.load raises ValueError for a file cut short
        return None
    return pixels if pixels.dtype == np.uint8 and pixels.shape == shape else None


def _cache_key(files: Sequence[FaceFile], image_size: int) -> str:
    """Name a cache by all that decides about its content."""
    # imagehash's bits decide the groups; its version is asked for without importing it.
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("pillow", "imagehash")]
    content = [f"{file.sha256} {file.path.name}" for file in files]
    digest = hashlib.sha256("\n".join([str(VERSION), *versions, *content]).encode())
    return f"{digest.hexdigest()[:24]}-{image_size}px"


def _open(path: Path, files: Sequence[FaceFile], image_size: int) -> PackedFaces | None:
    """Open a cache, or return None where it is missing, half there, or of other files."""
    try:
        rows = pd.read_csv(path.with_suffix(".csv"), keep_default_na=False, dtype=str)
    except (OSError, ValueError):
        return None
    wanted = [(file.path.name, file.sha256) for file in files]
    if list(rows.columns) != _COLUMNS or list(zip(rows.file, rows.sha256, strict=True)) != wanted:
        return None
    pixels = open_packed(path, ((rows.reason == "").sum(), image_size, image_size, 3))
    return None if pixels is None else PackedFaces(rows, pixels, path)


def _build(path: Path, files: Sequence[FaceFile], image_size: int) -> None:
    """Decode all files into the array at ``path``, then write the table beside it."""
    rows, phashes, thumbnails = [], [], []
    with replacing(path) as temporary, temporary.open("wb") as stream:
        # Written, not mapped: a full disk is then an error to report, where writing to a mapping
        # would kill the process. NumPy leaves room in the header for the number of rows to grow.
        _write_header(stream, 0, image_size)
        decoded = map_files(lambda file: _decode(file, image_size), files, "Decoding faces")
        for file, face in zip(files, decoded, strict=True):
            if isinstance(face, str):
                rows.append((file.path.name, file.sha256, "", "", face))
                continue
            pixels, thumbnail, phash = face
            stream.write(pixels.data)
            thumbnails.append(thumbnail)
            phashes.append(phash)
            rows.append((file.path.name, file.sha256, f"{phash:016x}", "", ""))
        stream.seek(0)
        _write_header(stream, len(phashes), image_size)
        _flush(stream)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    accepted = table.reason == ""
    groups = duplicates.group_copies(
        table.sha256[accepted].tolist(), np.array(phashes, np.uint64), np.array(thumbnails)
    )
    table.loc[accepted, "group"] = groups.astype(str)
    with replacing(path.with_suffix(".csv")) as temporary, temporary.open("wb") as stream:
        table.to_csv(stream, index=False)
        _flush(stream)


def _write_header(stream: BinaryIO, num_faces: int, image_size: int) -> None:
    """Write the header of an .npy file of (num_faces, image_size, image_size, 3) uint8."""
    shape = (num_faces, image_size, image_size, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _flush(stream: BinaryIO) -> None:
    """Bring the bytes to the disk, so that no crash can leave a name without its content."""
    stream.flush()
    os.fsync(stream.fileno())


def _decode(file: FaceFile, image_size: int) -> tuple[np.ndarray, np.ndarray, int] | str:
    """Return a face's pixels, thumbnail and perceptual hash; where it is refused, the reason."""
    data = read_unchanged(file)
    try:
        image = images.open_rgb(data)
    except images.ImageRejected as rejection:
        return str(rejection)
    pixels = images.square_pixels(image, image_size)
    return pixels, duplicates.thumbnail(image), duplicates.perceptual_hash(image)
