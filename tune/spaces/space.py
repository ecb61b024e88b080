"""Search spaces: loaded from their files, checked, and asked for configurations."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial

from tune.spaces.checks import RecordingTrial, Suggest, check_point, draw_and_check, run_suggest
from tune.spaces.file import SpaceFile, find_space
from tune.spaces.objectives import DEFAULT_OBJECTIVES, Setting, Settings, check_objectives
from tune.spaces.signature import Range, Signature
from utkface.config import SET_BY_COMMAND, TrainConfig
from utkface.io import UserError


@dataclass(frozen=True)
class Fit:
    """A configuration as a space would have suggested it."""

    params: Settings
    distributions: dict[str, BaseDistribution]
    config: TrainConfig  # with the space's own constants


@dataclass(frozen=True)
class Space:
    """A question, the hyperparameters that it varies, and the configurations to try first."""

    can_suggest: ClassVar[bool] = True
    file: SpaceFile
    suggest: Suggest
    points: list[Settings]  # what they leave out is sampled
    draws: list[RecordingTrial]  # the seeded random trials that the space was checked with
    objectives: tuple[str, ...]  # what a search minimises unless the command line says otherwise

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.path.stem

    @property
    def question(self) -> str:
        """The first line of the docstring."""
        return self.file.question

    @property
    def suggested(self) -> list[str]:
        """Every hyperparameter that some trial suggests, in the order of appearance."""
        return list(dict.fromkeys(name for draw in self.draws for name in draw.params))

    @property
    def remarks(self) -> list[str]:
        """What a person should know of a space that is sound, one line each."""
        remarks = []
        for name, parameter in self.signature().parameters.items():
            if len(parameter.ranges) > 1:
                used = {d.ranges[name]: d.lines[name] for d in self.draws if name in d.ranges}
                lines = sorted({line for line in used.values() if line})
                where = f" (lines {' and '.join(map(str, lines))})" if len(lines) > 1 else ""
                remarks.append(
                    f"{name} is suggested from {parameter}{where}, depending on other values: "
                    "where the range that the sampler saw last does not fit, it is drawn apart "
                    "from the other parameters"
                )
        return remarks

    def config(
        self,
        trial: BaseTrial,
        fixed: Mapping[str, Setting],
        overrides: Mapping[str, Setting] | None = None,
    ) -> TrainConfig:
        """Return the configuration of a trial; one that was resumed gets the same again.

        ``fixed`` is what the command sets (`SET_BY_COMMAND`), ``overrides`` the second half of
        `split_point` for a trial that came from a point. Raises `UserError` with the file, and the
        line where there is one, for whatever the user's code does wrong.
        """
        constants = run_suggest(self.file, self.suggest, trial)
        try:
            return TrainConfig.from_dict(
                {**constants, **trial.params, **(overrides or {}), **fixed}
            )
        except UserError as error:
            raise self.file.error(error) from error

    def settings(
        self, trial: BaseTrial, fixed: Mapping[str, Setting], overrides: Mapping[str, Setting]
    ) -> Settings:
        """Return the configuration of a trial as plain values, see `config`."""
        return self.config(trial, fixed, overrides).to_dict()

    def fit(self, values: Mapping[str, Setting], fixed: Mapping[str, Setting]) -> Fit:
        """Return the trial of this space whose parameters have these values.

        ``values`` is a whole configuration, of which only what the space suggests is looked at;
        ``fixed`` is as for `config`. Raises `UserError` that names the first parameter whose value
        this space would not suggest.
        """
        trial = RecordingTrial(0, values, complete=True)
        try:
            constants = self.suggest(trial)
        except UserError:  # the trial's own, which is not about a line of the file
            raise
        except (Exception, SystemExit) as error:
            raise self.file.error_from(error) from error
        config = TrainConfig.from_dict({**constants, **trial.params, **fixed})
        return Fit(trial.params, trial.distributions, config)

    def split_point(self, point: Mapping[str, Setting]) -> tuple[Settings, Settings]:
        """Split a point into parameters to enqueue and constants to override for its trial."""
        names = set(self.suggested)
        params = {name: value for name, value in point.items() if name in names}
        overrides = {name: value for name, value in point.items() if name not in names}
        return params, overrides

    def example_configs(self, fixed: Mapping[str, Setting]) -> list[TrainConfig]:
        """Return what the points and the seeded draws would train, to see what trials may need.

        What a point leaves out is drawn.
        """
        split = map(self.split_point, self.points)
        return [
            *(self.config(RecordingTrial(0, params), fixed, more) for params, more in split),
            *(TrainConfig.from_dict({**d.constants, **d.params, **fixed}) for d in self.draws),
        ]

    def signature(self) -> Signature:
        """Return ranges and conditions of the parameters, the constants and the points.

        Gathered over the seeded draws, so that conditional parameters are covered: a draw's value
        of a parameter depends on nothing but the draw's number, the parameter's name and its range,
        which is why adding one parameter leaves the draws of all others as they were.
        """
        parameters: dict[str, Range] = {}
        for draw in self.draws:
            for name, text in draw.ranges.items():
                parameter = parameters.setdefault(name, Range([], 0))
                parameter.num_draws += 1
                if text not in parameter.ranges:
                    parameter.ranges.append(text)
        names = dict.fromkeys(name for draw in self.draws for name in draw.constants)
        constants = {name: self._constant(name) for name in names}
        return Signature(parameters, constants, self.points)

    def _constant(self, name: str) -> Any:
        """Return a constant's value, or a digest of its values where they follow the parameters."""
        values = [draw.constants.get(name, "not set") for draw in self.draws]
        if all(value == values[0] for value in values):
            return values[0]
        digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()
        return f"computed ({digest[:8]})"


def load_space(
    name_or_path: str | os.PathLike[str], fixed: Mapping[str, Setting] | None = None
) -> Space:
    """Load a built-in space by name, or a user's own file by path, and check it.

    ``fixed`` is what the command sets (`SET_BY_COMMAND`): a space that contradicts it, say with
    more frozen epochs than there are, is refused as well. Raises `UserError`: the file and line,
    what is wrong, its value and what is allowed.
    """
    fixed = fixed or {}
    _check_fixed(fixed)
    file = SpaceFile.read(find_space(name_or_path))
    if not file.question:
        raise file.error("a docstring is missing; its first line is the question of the search", 1)
    module = ModuleType(file.path.stem)
    module.__file__ = str(file.path)
    with file.running():  # the text that was read, not what the import system may have cached of it
        exec(compile(file.tree, str(file.path), "exec"), module.__dict__)
    suggest = getattr(module, "suggest", None)
    if not callable(suggest):
        raise file.error("def suggest(trial) is missing; it suggests with Optuna's trial")
    points, objectives = _points(file, module), _objectives(file, module)
    space = Space(file, suggest, points, draw_and_check(file, suggest, fixed), objectives)
    for index, point in enumerate(points):
        check_point(file, suggest, index, *space.split_point(point), fixed)
    return space


def _check_fixed(fixed: Mapping[str, Setting]) -> None:
    """Check what the command sets before a space is blamed for it; errors name the option."""
    try:
        TrainConfig.from_dict(fixed)
    except UserError as error:
        text = str(error)
        for name, flag in SET_BY_COMMAND.items():
            text = re.sub(rf"\b{name}=", f"{flag} ", text)
        raise UserError(text) from error


def _points(file: SpaceFile, module: ModuleType) -> list[Settings]:
    points = getattr(module, "POINTS", [])
    if not isinstance(points, list | tuple):
        what = f"POINTS={points!r} is {type(points).__name__}"
        raise file.error(f"{what}; allowed: a list of dicts", file.line_of_point(0))
    for index, point in enumerate(points):
        if not isinstance(point, Mapping):
            what = f"point {index + 1} is {point!r}"
            line = file.line_of_point(index)
            raise file.error(f"{what}; allowed: a dict of names and values", line)
    return [dict(point) for point in points]


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
