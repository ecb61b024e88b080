"""Every defect of a space that can be found before a search starts.

A space is run a hundred times with seeded draws outside any study. Both ends of every range, and
every choice, are tried on top of them, because a random draw hardly ever meets an end.
"""

import difflib
import math
import random
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import BaseTrial, FixedTrial

from tune.spaces.file import SpaceFile
from tune.spaces.objectives import Setting, Settings
from utkface.config import SET_BY_COMMAND, TrainConfig
from utkface.io import UserError

NUM_DRAWS = 100

_KNOWN = [spec.name for spec in fields(TrainConfig)]

Suggest = Callable[[BaseTrial], Settings]
Distribution = FloatDistribution | IntDistribution | CategoricalDistribution


class RecordingTrial(FixedTrial):
    """A random trial outside any study, which refuses what Optuna would let pass.

    A drawn value depends on the draw's number, the parameter's name and its range alone. ``forced``
    values are taken instead of drawn ones. With ``complete=True`` nothing is drawn: a parameter
    that ``forced`` lacks is an error. With ``path`` of the space the trial knows at which of its
    lines each parameter was suggested.
    """

    def __init__(
        self,
        number: int,
        forced: Mapping[str, Setting] | None = None,
        *,
        complete: bool = False,
        path: str = "",
    ) -> None:
        super().__init__({}, number)
        self._forced, self._complete, self._path = forced or {}, complete, path
        self.taken: dict[str, tuple[Any, Distribution]] = {}
        self.ranges: dict[str, str] = {}  # from which each value was taken, as text
        self.lines: dict[str, int | None] = {}  # of the file, where each was suggested
        self.constants: Settings = {}  # what `suggest` returned

    @property
    def params(self) -> Settings:
        """The values suggested so far."""
        return {name: value for name, (value, _) in self.taken.items()}

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The ranges that they were suggested from."""
        return {name: distribution for name, (_, distribution) in self.taken.items()}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Suggest a float, as Optuna's own trials do."""
        return self._take(name, lambda: FloatDistribution(low, high, log=log, step=step))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Suggest an integer; Optuna would silently cut the decimals off the ends."""
        for end in (low, high):
            if type(end) is not int:
                raise UserError(f"{name}: end of range {end!r} of suggest_int; allowed: an int")
        return self._take(name, lambda: IntDistribution(low, high, log=log, step=step))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Suggest one of some choices."""
        return self._take(name, lambda: CategoricalDistribution(choices))

    def _take(self, name: str, build: Callable[[], Distribution]) -> Any:
        if name in self.taken:
            raise UserError(
                f"{name} is suggested twice in one trial; Optuna would return the first value again"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Optuna warns where it changes a range
                distribution = build()
        except (ValueError, TypeError, Warning) as error:
            raise UserError(f"{name}: bad range, {error}") from error
        if not all(math.isfinite(end) for end in _extremes(distribution) if type(end) is float):
            raise UserError(f"{name}: bad range {describe(distribution)}; allowed: finite ends")
        if name in self._forced:
            value = self._forced[name]
            if not _contains(distribution, value):
                raise UserError(f"{name}={value!r} is not in {describe(distribution)}")
        elif self._complete:
            raise UserError(f"{name} is missing; allowed: {describe(distribution)}")
        else:
            value = _pick(distribution, random.Random(f"{self.number}:{name}").random())
        self.taken[name] = value, distribution
        self.ranges[name] = describe(distribution)
        self.lines[name] = self._line_of_caller()
        return value

    def _line_of_caller(self) -> int | None:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self._path:
            frame = frame.f_back  # type: ignore[assignment]  # None at the end
        return frame.f_lineno if frame else None


def draw_and_check(
    file: SpaceFile, suggest: Suggest, fixed: Mapping[str, Setting]
) -> list[RecordingTrial]:
    """Run the space with seeded draws; raises `UserError` for what could not be searched."""
    draws = _random_draws(file, suggest)
    tried = set()
    for draw in draws:
        for name, (_, distribution) in draw.taken.items():
            if (name, draw.ranges[name]) not in tried:
                tried.add((name, draw.ranges[name]))
                for value in _extremes(distribution):
                    _check_config(file, _draw(file, suggest, draw.number, {name: value}), fixed)
        _check_config(file, draw, fixed)
    return draws


def check_point(
    file: SpaceFile,
    suggest: Suggest,
    index: int,
    params: Settings,
    overrides: Settings,
    fixed: Mapping[str, Setting],
) -> None:
    """Check that a point is a configuration that the space could suggest, or a part of such.

    ``params`` are the values of what the space suggests, ``overrides`` those of its constants.
    """
    try:
        for name in [*params, *overrides]:
            _check_name(name)
        _check_reached(suggest, params, {**overrides, **fixed})
    except UserError as error:
        line = file.line_of_point(index, _culprit(error))
        raise file.error(f"point {index + 1}: {error}", line) from error
    except (Exception, SystemExit) as error:
        raise file.error_from(error) from error


def describe(distribution: Distribution) -> str:
    """Return a range as text: ``0.0001..0.01 log``, ``16..64 step 16``, ``'l1' or 'dldl'``."""
    if isinstance(distribution, CategoricalDistribution):
        return " or ".join(repr(choice) for choice in distribution.choices)
    text = f"{distribution.low}..{distribution.high}"
    if distribution.log:
        text += " log"
    if distribution.step != (1 if isinstance(distribution, IntDistribution) else None):
        text += f" step {distribution.step}"
    return text


def run_suggest(file: SpaceFile, suggest: Suggest, trial: BaseTrial) -> Settings:
    """Return the constants; raises `UserError` with the file and line, whatever goes wrong."""
    with file.running():
        constants: Any = suggest(trial)  # a user's own code: it may return anything
    if not isinstance(constants, dict):
        what = f"suggest returned {constants!r}"
        raise file.error(f"{what}; allowed: a dict of constants, which may be empty")
    for name in constants:
        if name in trial.params:
            raise file.error(
                f"{name} is both suggested and returned; allowed: return the constants only",
                file.line_of(name),
            )
    return constants


def _random_draws(file: SpaceFile, suggest: Suggest) -> list[RecordingTrial]:
    draws = []
    first: dict[str, RecordingTrial] = {}  # the trial that first suggested each parameter
    for number in range(NUM_DRAWS):
        draw = _draw(file, suggest, number)
        for name, (_, distribution) in draw.taken.items():
            other = first.setdefault(name, draw)
            try:  # Optuna lets a numeric range move, but neither its kind nor the choices
                check_distribution_compatibility(other.taken[name][1], distribution)
            except ValueError as error:
                where = f" (line {other.lines[name]})" if other.lines[name] else ""
                raise file.error(
                    f"{name} is suggested from {draw.ranges[name]} in one trial and from "
                    f"{other.ranges[name]}{where} in another; allowed: one kind, one scale and "
                    "the same choices",
                    draw.lines[name],
                ) from error
        # A trial that is resumed has the same parameters under another number.
        again = _draw(file, suggest, number + NUM_DRAWS, draw.params)
        both = (repr((d.params, d.ranges, d.constants)) for d in (draw, again))  # NaN is not NaN
        if len(set(both)) > 1:
            raise file.error(
                f"suggest is not repeatable: for the parameters {draw.params} it gave "
                f"{draw.constants}, then {again.constants}; a resumed trial must get the same"
            )
        draws.append(draw)
    if not first:
        raise file.error("suggest(trial) suggests nothing, so there is nothing to search")
    return draws


def _draw(
    file: SpaceFile, suggest: Suggest, number: int, forced: Mapping[str, Setting] | None = None
) -> RecordingTrial:
    """Run `suggest` once and check the names; errors carry the line that was running."""
    trial = RecordingTrial(number, forced, path=str(file.path))
    trial.constants = dict(run_suggest(file, suggest, trial))
    for name in [*trial.params, *trial.constants]:
        try:
            _check_name(name)
        except UserError as error:
            raise file.error(error, trial.lines.get(name) or file.line_of(name)) from error
    return trial


def _check_name(name: str) -> None:
    if name in SET_BY_COMMAND:
        raise UserError(
            f"{name} is the same for every trial of a search: set it by {SET_BY_COMMAND[name]} and "
            "leave it out of the space"
        )
    if name not in _KNOWN:
        close = difflib.get_close_matches(str(name), _KNOWN, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(_KNOWN)}"
        raise UserError(f"{name} is not a hyperparameter; {hint}")


def _check_config(file: SpaceFile, draw: RecordingTrial, fixed: Mapping[str, Setting]) -> None:
    """Build the configuration; an error names the range that its value was drawn from."""
    try:
        TrainConfig.from_dict({**draw.constants, **draw.params, **fixed})
    except UserError as error:
        name = _culprit(error)
        source = f" (suggested from {draw.ranges[name]})" if name in draw.ranges else ""
        line = draw.lines.get(name) or file.line_of(name)
        raise file.error(f"{error}{source}", line) from error


def _check_reached(suggest: Suggest, params: Settings, overrides: Mapping[str, Setting]) -> None:
    """Try a point, drawing what it leaves out again and again: each of its values is to count."""
    unreached = {**params}
    for number in range(NUM_DRAWS):
        trial = RecordingTrial(number, params)
        constants = suggest(trial)
        TrainConfig.from_dict({**constants, **trial.params, **overrides})
        for name in trial.params:
            unreached.pop(name, None)
        if trial.params.keys() <= params.keys():
            break  # nothing was drawn, so every number gives the same
    for name, value in unreached.items():
        raise UserError(
            f"{name}={value!r} is not suggested beside its other values; leave it out, or change "
            "what it depends on"
        )


def _culprit(error: UserError) -> str:
    """Return the name that a message of a trial or of `TrainConfig` is about: its first word."""
    return re.split(r"\W", str(error), maxsplit=1)[0]


def _extremes(distribution: Distribution) -> list[Any]:
    """Return both ends of a range, or every choice."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [distribution.low, distribution.high]


def _contains(distribution: Distribution, value: Any) -> bool:
    """Whether a value is one that the distribution may suggest, of the right type as well."""
    if isinstance(distribution, CategoricalDistribution):
        return (type(value), value) in [(type(choice), choice) for choice in distribution.choices]
    allowed = int if isinstance(distribution, IntDistribution) else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        return False
    if not distribution.low <= value <= distribution.high:
        return False
    num_steps = (value - distribution.low) / (distribution.step or math.inf)
    return abs(num_steps - round(num_steps)) < 1e-8


def _pick(distribution: Distribution, share: float) -> Any:
    """Return the value that lies at this share, from 0 up to 1, of the range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        value = min(max(value, low), high)
        return int(value) if isinstance(distribution, IntDistribution) else value
    if step:
        value = low + step * int(share * (round((high - low) / step) + 1))
        return min(value, high)
    return min(low + share * (high - low), high)
