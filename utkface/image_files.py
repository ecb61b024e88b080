"""The image files that a command line means: files, folders and patterns become paths."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from utkface.data.images import ImageRejected
from utkface.data.sources import list_images
from utkface.errors import UserError

#: A photograph is smaller; what is larger is not read into memory to see that it is none.
MAX_FILE_BYTES = 200_000_000


def find_images(inputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that the inputs name, input by input.

    A folder gives all images in it and below it, sorted by name; a pattern (``*``, ``?``, ``[]``,
    and ``**`` for any depth) the files that match it, sorted. Any other name is taken for a file,
    there or not: that one of many is missing shows when it is read. Raises `UserError` for a folder
    or a pattern that gives nothing.
    """
    paths: list[Path] = []
    for given in inputs:
        name = os.fspath(given)
        found = _find(name)
        if not found:
            raise UserError(f"no images in {name}; give image files, folders of them, or patterns")
        paths += found
    return paths


def _find(name: str) -> list[Path]:
    """Return the files that one input names."""
    path = Path(name)
    try:
        if path.is_dir():
            return [file.path for file in list_images([path])]
        if not glob.has_magic(name) or path.exists():
            return [path]
    except OSError:  # a name that is too long, a folder without leave: reading it will tell
        return [path]
    matches = map(Path, glob.glob(name, recursive=True))  # noqa: PTH207 - Path.glob needs a root
    return sorted(path for path in matches if path.is_file())


def read_image_file(path: Path) -> bytes:
    """Return a file's content; raises `ImageRejected` with the reason where it cannot be had."""
    try:
        if not path.exists():
            raise ImageRejected("no such file")
        if not path.is_file():  # a pipe would be waited for, a device read for ever
            raise ImageRejected("not a file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImageRejected(f"too large: more than {MAX_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise ImageRejected(f"cannot be read: {reason}") from error
