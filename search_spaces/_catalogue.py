"""The spaces of this folder by name, found by reading the files: nothing is imported."""

import difflib
import os
from pathlib import Path

from search_spaces._file import SpaceFile
from utkface.io import UserError

_FOLDER = Path(__file__).parent


def list_spaces() -> dict[str, str]:
    """Return the question of each built-in space by name, in alphabetical order."""
    return {name: SpaceFile.read(path).question for name, path in _built_in().items()}


def find_space(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of a built-in space, or the path itself where one is given.

    Raises `UserError` for a name that no space has, with the closest one, and for a missing file.
    """
    text = os.fspath(name_or_path)
    spaces = _built_in()
    if text in spaces:
        return spaces[text]
    path = Path(text)
    if path.suffix == ".py" or path.parent != Path():
        if path.is_file():
            return path
        raise UserError(f"no search space at {text}; allowed: a Python file or {_listing(spaces)}")
    if Path(f"{text}.py").is_file():
        hint = f"did you mean the file {text}.py?"
    else:
        close = difflib.get_close_matches(text, spaces, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        hint += f"allowed: {_listing(spaces)}, or the path of a Python file"
    raise UserError(f"unknown search space {text!r}; {hint}")


def _built_in() -> dict[str, Path]:
    """Return the files that have a `suggest`, by name: shared pieces have none."""
    paths = sorted(_FOLDER.glob("[!_]*.py"))
    return {path.stem: path for path in paths if SpaceFile.read(path).defines("suggest")}


def _listing(spaces: dict[str, Path]) -> str:
    return ", ".join(spaces)
