"""Files of search spaces, read and parsed but not run, and the one-line errors that point at them.

Optuna is not imported: ``--list-spaces`` and ``--help`` are to answer at once.
"""

import ast
import contextlib
import difflib
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import search_spaces
from utkface.io import UserError

_FOLDER = Path(search_spaces.__path__[0])


@dataclass(frozen=True)
class SpaceFile:
    """The text of a search space; it knows at which line a name or a point stands."""

    path: Path
    text: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and parse a file; raises `UserError` with the line of a typing error."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read as a Python file ({error})") from error
        try:
            tree = ast.parse(text, filename=str(path))
            compile(tree, str(path), "exec")  # finds what parsing lets pass, as a stray `return`
        except SyntaxError as error:
            what = f"{error.msg}: {(error.text or '').strip()}".removesuffix(": ")
            raise _error_at(path, error.lineno, f"syntax error, {what}") from error
        return cls(path, text, tree)

    @property
    def question(self) -> str:
        """The first line of the docstring; empty where there is none."""
        lines = (ast.get_docstring(self.tree) or "").strip().splitlines()
        return lines[0].strip() if lines else ""

    def error(self, message: object, line: int | None = None) -> UserError:
        """Return a one-line error that starts with the file and, where known, the line."""
        return _error_at(self.path, line, message)

    def error_from(self, error: BaseException) -> UserError:
        """Return a one-line error for what running this file raised, with the line in this file."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
        what = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return self.error(what, lines[-1] if lines else None)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Raise a one-line error with the file and line for whatever this file's code raises.

        A disk that Optuna's storage cannot write to is not the file's fault, and passes as it is.
        """
        try:
            yield
        except (Exception, SystemExit) as error:
            frames = traceback.extract_tb(error.__traceback__)
            in_storage = any("/optuna/storages/" in frame.filename for frame in frames)
            if in_storage and isinstance(error, OSError | UserError):
                raise
            raise self.error_from(error) from error

    def line_of(self, name: str) -> int | None:
        """Return the line where `suggest` or a constant names this hyperparameter."""
        points = self._assignment("POINTS")
        nodes = [node for node in self.tree.body if node is not points]
        return _first_line(nodes, name)

    def line_of_point(self, index: int, name: str = "") -> int | None:
        """Return the line of a name within a point, else of the point, else of ``POINTS``."""
        points = self._assignment("POINTS")
        if points is None:
            return None
        if isinstance(points.value, ast.List | ast.Tuple) and index < len(points.value.elts):
            element = points.value.elts[index]
            return _first_line([element], name) or element.lineno
        return points.lineno

    def line_of_assignment(self, name: str) -> int | None:
        """Return the line where a name gets its value at the top level of the file."""
        node = self._assignment(name)
        return node.lineno if node else None

    def _assignment(self, name: str) -> ast.Assign | ast.AnnAssign | None:
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    return node
        return None


def list_spaces() -> dict[str, str]:
    """Return the question of each built-in space by name, in alphabetical order."""
    return {name: file.question for name, file in _built_in().items()}


def find_space(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of a built-in space, or the path itself where one is given.

    Raises `UserError` for a name that no space has, with the closest one, and for a missing file.
    """
    text = os.fspath(name_or_path)
    spaces = _built_in()
    if text in spaces:
        return spaces[text].path
    path = Path(text)
    if path.suffix == ".py" or path.parent != Path():
        if path.is_file():
            return path
        raise UserError(f"no search space at {text}; allowed: a Python file or {', '.join(spaces)}")
    if Path(f"{text}.py").is_file():
        hint = f"did you mean the file {text}.py?"
    else:
        close = difflib.get_close_matches(text, spaces, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        hint += f"allowed: {', '.join(spaces)}, or the path of a Python file"
    raise UserError(f"unknown search space {text!r}; {hint}")


def _built_in() -> dict[str, SpaceFile]:
    """Return the files that have a `suggest`, by name: shared pieces have none."""
    spaces = {}
    for path in sorted(_FOLDER.glob("[!_]*.py")):
        file = SpaceFile.read(path)
        functions = [node.name for node in file.tree.body if isinstance(node, ast.FunctionDef)]
        if "suggest" in functions:
            spaces[path.stem] = file
    return spaces


def _error_at(path: Path, line: int | None, message: object) -> UserError:
    where = f"{path}:{line}" if line else f"{path}"
    return UserError(f"{where}: {' '.join(str(message).split())}")


def _first_line(nodes: list, name: str) -> int | None:
    """Return the first line where ``name`` is a string or a keyword, as in ``dict(name=...)``."""
    for node in nodes:
        for child in ast.walk(node):
            if isinstance(child, ast.Constant) and child.value == name:
                return child.lineno
            if isinstance(child, ast.keyword) and child.arg == name:
                return child.lineno
    return None
