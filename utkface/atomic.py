"""Files and folders that appear complete or not at all.

Both are made under a temporary name in the same folder and then renamed, so that a process killed
in the middle, a full disk or a second process doing the same work never leaves half of one.
"""

import contextlib
import glob
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from utkface.errors import UserError

ABANDONED_AFTER_S = 24 * 60 * 60
_SUFFIX = ".tmp"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the block a temporary path to write; it becomes ``path`` if the block ends well.

    Raises `UserError` when the disk is full or the folder cannot be written.
    """
    with _disk_errors(path), _temporary_folder(path) as folder:
        yield folder / path.name
        (folder / path.name).replace(path)


def folder_once(path: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder ``path``, filled by ``fill(temporary_folder)`` if it does not exist yet.

    The name must tell the content (a hash), as an existing folder is taken as it is. Raises
    `UserError` when the disk is full or the folder cannot be written.
    """
    if path.is_dir():
        return path
    with _disk_errors(path), _temporary_folder(path) as folder:
        filled = folder / path.name
        filled.mkdir()
        fill(filled)
        try:
            filled.rename(path)
        except OSError:
            if not path.is_dir():  # else another process was faster, with the same content
                raise
    return path


@contextlib.contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path`` for the block, and remove it with whatever is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    folder = Path(tempfile.mkdtemp(_SUFFIX, f".{path.name}.", path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Remove what earlier attempts at ``path`` left when they were killed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps too
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Tell a full or read-only disk as the user's matter that it is."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; free space there or choose another folder "
            "(UTKFACE_CACHE names the cache, --results the runs)"
        ) from error
