"""Paired differences in words: which of two models is better, by how much, and if that is real."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from utkface.evaluation.report.measures import MEASURES, Measure, part

#: The metrics that two models are compared by.
COMPARED = ("age_mae", "gender_accuracy", "score")


@dataclass(frozen=True)
class Verdict:
    """What one metric says of a against b, from the side of a."""

    title: str  # of the metric
    size: str  # "better by 0.12 years"
    interval: str | None  # "0.03 to 0.20", of 95 %; None where it is not known
    is_real: bool  # the interval leaves out zero

    @property
    def text(self) -> str:
        """The verdict as a sentence without its subject."""
        if self.interval is None:
            return f"{self.size}; without an interval that says little"
        verdict = "a difference" if self.is_real else "no difference that these faces can show"
        return f"{self.size}, interval {self.interval}: {verdict}"


def find_verdicts(pair: Mapping[str, Any]) -> dict[str, Verdict]:
    """Return the verdict of each metric that a paired comparison has, by the metric's name.

    pair: estimates {"value", "low", "high"} of a minus b by metric, as `paired_difference` returns.
    """
    return {
        name: _judge(MEASURES[name], pair[name])
        for name in COMPARED
        if not math.isnan(part(pair.get(name)))
    }


def _judge(measure: Measure, difference: Mapping[str, Any]) -> Verdict:
    # Turned so that a positive gain means that a is better.
    sign = 1 if measure.higher_is_better else -1
    gain = sign * part(difference)
    low, high = sorted(sign * part(difference, end) for end in ("low", "high"))
    if gain < 0:
        low, high = -high, -low
    unit = f" {measure.unit_of_difference}" if measure.unit_of_difference else ""
    size = f"{'better' if gain >= 0 else 'worse'} by {measure.show(abs(gain))}{unit}"
    if math.isnan(low):
        return Verdict(measure.title, size, None, False)
    return Verdict(measure.title, size, f"{measure.show(low)} to {measure.show(high)}", low > 0)
