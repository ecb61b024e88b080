"""Files and folders that appear complete or not at all.

Both are made under a temporary name in the same folder and then renamed, so that a process killed
in the middle, a full disk or a second process doing the same work never leaves half of one.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from utkface.errors import UserError

_TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the block a temporary path to write; it becomes ``path`` if the block ends well.

    Raises `UserError` when the disk is full or the folder cannot be written.
    """
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(_TEMPORARY_SUFFIX, f".{path.name}.", path.parent))
        try:
            yield folder / path.name
            (folder / path.name).replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def folder_once(path: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder ``path``, filled by ``fill(temporary_folder)`` if it does not exist yet.

    The name must tell the content (a hash), as an existing folder is taken as it is. Raises
    `UserError` when the disk is full or the folder cannot be written.
    """
    if path.is_dir():
        return path
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(_TEMPORARY_SUFFIX, f".{path.name}.", path.parent))
        try:
            fill(folder)
            folder.chmod(0o755)  # mkdtemp's 0o700 would shut out the others of a shared cache
            try:
                folder.rename(path)
            except OSError:
                if not path.is_dir():  # otherwise another process was faster, with the same content
                    raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return path


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Tell a full or read-only disk as the user's matter that it is."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; free space there or choose another folder "
            "(UTKFACE_CACHE names the cache)"
        ) from error
