"""A trial for checking a space: repeatable draws, and an error where Optuna would let it pass."""

import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FixedTrial

from utkface.io import UserError


class RecordingTrial(FixedTrial):
    """A random trial outside any study; ``forced`` values are taken instead of drawn ones.

    A drawn value depends on the draw's number, the parameter's name and its range alone. With
    ``complete=True`` nothing is drawn: a parameter that ``forced`` lacks is an error.
    """

    def __init__(
        self, number: int, forced: Mapping[str, Any] | None = None, *, complete: bool = False
    ) -> None:
        super().__init__({}, number)
        self._forced = forced or {}
        self._complete = complete

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

    def _take(self, name: str, build: Callable[[], BaseDistribution]) -> Any:
        if name in self._distributions:
            raise UserError(
                f"{name} is suggested twice in one trial; Optuna would return the first value again"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Optuna warns where it changes a range
                distribution = build()
        except (ValueError, TypeError, Warning) as error:
            raise UserError(f"{name}: bad range, {error}") from error
        if not all(math.isfinite(end) for end in extremes(distribution) if type(end) is float):
            raise UserError(f"{name}: bad range {describe(distribution)}; allowed: finite ends")
        if name in self._forced:
            value = self._forced[name]
            if not contains(distribution, value):
                raise UserError(f"{name}={value!r} is not in {describe(distribution)}")
        elif self._complete:
            raise UserError(f"{name} is missing; allowed: {describe(distribution)}")
        else:
            value = _pick(distribution, random.Random(f"{self.number}:{name}").random())
        self._distributions[name] = distribution
        self._suggested_params[name] = value
        return value


def describe(distribution: BaseDistribution) -> str:
    """Return a range as text: ``0.0001..0.01 log``, ``16..64 step 16``, ``'l1' or 'dldl'``."""
    if isinstance(distribution, CategoricalDistribution):
        return " or ".join(repr(choice) for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    text = f"{distribution.low}..{distribution.high}"
    if distribution.log:
        text += " log"
    if distribution.step != (1 if isinstance(distribution, IntDistribution) else None):
        text += f" step {distribution.step}"
    return text


def extremes(distribution: BaseDistribution) -> list[Any]:
    """Return both ends of a range, or every choice."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value is one that the distribution may suggest, of the right type as well."""
    if isinstance(distribution, CategoricalDistribution):
        return any(
            value == choice for choice in distribution.choices if type(choice) is type(value)
        )
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    allowed = int if isinstance(distribution, IntDistribution) else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        return False
    if not distribution.low <= value <= distribution.high:
        return False
    num_steps = (value - distribution.low) / (distribution.step or math.inf)
    return abs(num_steps - round(num_steps)) < 1e-8


def _pick(distribution: BaseDistribution, share: float) -> Any:
    """Return the value that lies at this share, from 0 up to 1, of the range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        value = min(max(value, low), high)
        return int(value) if isinstance(distribution, IntDistribution) else value
    if step:
        value = low + step * int(share * (round((high - low) / step) + 1))
        return min(value, high)
    return min(low + share * (high - low), high)
