"""From a space's name or path to a checked `Space`, with a one-line error for every defect."""

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from search_spaces._catalogue import find_space
from search_spaces._file import SpaceFile
from search_spaces._objectives import DEFAULT_OBJECTIVES, check_objectives
from search_spaces._space import Space, Suggest
from utkface.io import UserError


def load_space(
    name_or_path: str | os.PathLike[str], fixed: Mapping[str, Any] | None = None
) -> Space:
    """Load a built-in space by name, or a user's own file by path, and check it.

    ``fixed`` is what the command sets (`SET_BY_COMMAND`): a space that contradicts it, say with
    more frozen epochs than there are, is refused as well. Raises `UserError`: the file and line,
    what is wrong, its value and what is allowed.
    """
    # Optuna takes longer to import than all else here, and listing the spaces does not need it.
    from search_spaces._check import check_points, check_values, random_draws

    file = SpaceFile.read(find_space(name_or_path))
    if not file.question:
        raise file.error("a docstring is missing; its first line is the question of the search", 1)
    module = _run_file(file)
    suggest, points = _contents(file, module)
    objectives = _objectives(file, module)
    draws = random_draws(file, suggest)
    check_values(file, suggest, draws, fixed or {})
    space = Space(file, suggest, points, draws, objectives)
    check_points(space, fixed or {})
    return space


def _run_file(file: SpaceFile) -> ModuleType:
    """Run the text that was read, not what the import system may have cached of it."""
    module = ModuleType(file.path.stem)
    module.__file__ = str(file.path)
    try:
        exec(compile(file.tree, str(file.path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise file.error_from(error) from error
    return module


def _contents(file: SpaceFile, module: ModuleType) -> tuple[Suggest, list[dict[str, Any]]]:
    suggest = getattr(module, "suggest", None)
    if not callable(suggest):
        raise file.error("def suggest(trial) is missing; it suggests with Optuna's trial")
    points = getattr(module, "POINTS", [])
    if not isinstance(points, list | tuple):
        what = f"POINTS={points!r} is {type(points).__name__}"
        raise file.error(f"{what}; allowed: a list of dicts", file.line_of_point(0))
    for index, point in enumerate(points):
        if not isinstance(point, Mapping):
            what = f"point {index + 1} is {point!r}"
            raise file.error(
                f"{what}; allowed: a dict of names and values", file.line_of_point(index)
            )
    return suggest, [dict(point) for point in points]


def _objectives(file: SpaceFile, module: ModuleType) -> tuple[str, ...]:
    objectives = getattr(module, "OBJECTIVES", DEFAULT_OBJECTIVES)
    line = file.line_of_assignment("OBJECTIVES")
    if not isinstance(objectives, list | tuple):
        what = f"OBJECTIVES={objectives!r} is {type(objectives).__name__}"
        raise file.error(f"{what}; allowed: a tuple of names", line)
    try:
        return check_objectives(objectives)
    except UserError as error:
        raise file.error(error, line) from error
