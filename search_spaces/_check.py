"""Every defect of a space that can be found before a search starts.

A space is run a hundred times with seeded draws outside any study. Both ends of every range, and
every choice, are tried on top of them, because a random draw hardly ever meets an end.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility

from search_spaces._file import SpaceFile
from search_spaces._recording import RecordingTrial, describe, extremes
from search_spaces._signature import Draw
from search_spaces._space import Space, Suggest
from utkface.config import SET_BY_COMMAND, TrainConfig
from utkface.io import UserError

NUM_DRAWS = 100

_KNOWN = [spec.name for spec in fields(TrainConfig)]


def random_draws(file: SpaceFile, suggest: Suggest) -> list[Draw]:
    """Run the space with seeded draws; raises `UserError` where Optuna could not work with it."""
    draws = []
    seen: dict[str, BaseDistribution] = {}
    for number in range(NUM_DRAWS):
        trial = RecordingTrial(number)
        draw = _run(file, suggest, trial)
        for name, distribution in trial.distributions.items():
            _check_one_kind(file, name, seen.setdefault(name, distribution), distribution)
        # A trial that is resumed has the same parameters under another number.
        again = _run(file, suggest, RecordingTrial(number + NUM_DRAWS, draw.params))
        if repr(again) != repr(draw):  # as text, because NaN is unlike itself
            raise file.error(
                f"suggest is not repeatable: for the parameters {draw.params} it gave "
                f"{draw.constants}, then {again.constants}; a resumed trial must get the same"
            )
        draws.append(draw)
    if not seen:
        raise file.error("suggest(trial) suggests nothing, so there is nothing to search")
    return draws


def check_values(
    file: SpaceFile, suggest: Suggest, draws: list[Draw], fixed: Mapping[str, Any]
) -> None:
    """Put each draw, and each end of each range, through `TrainConfig`."""
    ranges_tried = set()
    for number, draw in enumerate(draws):
        for name, text in draw.ranges.items():
            if (name, text) not in ranges_tried:
                ranges_tried.add((name, text))
                _check_extremes(file, suggest, number, name, fixed)
        _check_config(file, draw, fixed)


def check_points(space: Space, fixed: Mapping[str, Any]) -> None:
    """Check that each point is a configuration that the space could suggest."""
    for index, point in enumerate(space.points):
        try:
            _check_point(space, point, fixed)
        except UserError as error:
            # Messages start with the name that they are about.
            name = re.split(r"\W", str(error), maxsplit=1)[0]
            line = space.file.line_of_point(index, name)
            raise space.file.error(f"point {index + 1}: {error}", line) from error
        except Exception as error:
            raise space.file.error_from(error) from error


def _run(file: SpaceFile, suggest: Suggest, trial: RecordingTrial) -> Draw:
    """Run `suggest` once and check the names; errors carry the line that was running."""
    try:
        constants: Any = suggest(trial)  # a user's own code: it may return anything
    except Exception as error:
        raise file.error_from(error) from error
    if not isinstance(constants, dict):
        what = f"suggest returned {constants!r}"
        raise file.error(f"{what}; allowed: a dict of constants, which may be empty")
    for name in [*trial.params, *constants]:
        _check_name(file, name)
    for name in constants:
        if name in trial.params:
            raise file.error(
                f"{name} is both suggested and returned; allowed: return the constants only",
                file.line_of(name),
            )
    ranges = {name: describe(value) for name, value in trial.distributions.items()}
    return Draw(dict(trial.params), ranges, dict(constants))


def _check_name(file: SpaceFile, name: str) -> None:
    problem = _name_problem(name)
    if problem:
        raise file.error(problem, file.line_of(name))


def _name_problem(name: str) -> str | None:
    if name in SET_BY_COMMAND:
        return (
            f"{name} is the same for every trial of a search: set it by {SET_BY_COMMAND[name]} and "
            "leave it out of the space"
        )
    if name not in _KNOWN:
        close = difflib.get_close_matches(str(name), _KNOWN, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(_KNOWN)}"
        return f"{name} is not a hyperparameter; {hint}"
    return None


def _check_one_kind(
    file: SpaceFile, name: str, first: BaseDistribution, now: BaseDistribution
) -> None:
    """Optuna lets a numeric range move between trials, but neither its kind nor the choices."""
    try:
        check_distribution_compatibility(first, now)
    except ValueError as error:
        raise file.error(
            f"{name} is suggested from {describe(first)} in one trial and from {describe(now)} in "
            "another; allowed: one kind, one scale and the same choices",
            file.line_of(name),
        ) from error


def _check_extremes(
    file: SpaceFile, suggest: Suggest, number: int, name: str, fixed: Mapping[str, Any]
) -> None:
    trial = RecordingTrial(number)
    _run(file, suggest, trial)
    for value in extremes(trial.distributions[name]):
        draw = _run(file, suggest, RecordingTrial(number, {name: value}))
        _check_config(file, draw, fixed)


def _check_config(file: SpaceFile, draw: Draw, fixed: Mapping[str, Any]) -> None:
    """Build the configuration; an error names the range that its value was drawn from."""
    try:
        TrainConfig.from_dict({**draw.constants, **draw.params, **fixed})
    except UserError as error:
        name = _blame({**draw.constants, **draw.params}, fixed)
        source = f" (suggested from {draw.ranges[name]})" if name in draw.ranges else ""
        raise file.error(f"{error}{source}", file.line_of(name)) from error


def _blame(values: Mapping[str, Any], fixed: Mapping[str, Any]) -> str:
    """Return the first name whose value is refused on its own, beside what the command sets."""
    for name, value in values.items():
        try:
            TrainConfig.from_dict({**fixed, name: value})
        except UserError:
            return name
    return ""


def _check_point(space: Space, point: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    for name in point:
        problem = _name_problem(name)
        if problem:
            raise UserError(problem)
    params, overrides = space.split_point(point)
    trial = RecordingTrial(0, params, complete=True)
    constants = space.suggest(trial)
    unreached = [name for name in params if name not in trial.params]
    if unreached:
        raise UserError(
            f"{unreached[0]}={params[unreached[0]]!r} is not suggested beside its other values; "
            "leave it out, or change what it depends on"
        )
    TrainConfig.from_dict({**constants, **trial.params, **overrides, **fixed})
