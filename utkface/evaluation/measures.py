"""How to write each metric, and what a difference between two models amounts to, in words."""

import math
from dataclasses import dataclass
from typing import Any

from utkface.evaluation.records import Difference, Estimate, SeedEstimate


def number(value: Any) -> float:
    """Return ``value`` as a float, NaN for whatever is not a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan


def show_fixed(value: Any, digits: int) -> str:
    """Return a number with fixed digits, so that a column of them lines up; a dash for none."""
    if not math.isfinite(number(value)):
        return "–"
    text = f"{number(value):z.{digits}f}"  # z: what rounds to zero has no sign
    return text.replace("-", "−")


@dataclass(frozen=True)
class Measure:
    """How to write one metric; ``digits`` are those of a percentage where ``is_share``."""

    name: str
    title: str
    digits: int
    unit: str = ""
    is_share: bool = False
    higher_is_better: bool = False

    def show(self, value: float | None) -> str:
        """Return a value without its unit: shares in per cent."""
        return show_fixed(100 * number(value) if self.is_share else number(value), self.digits)

    def show_spread(self, estimate: SeedEstimate) -> str:
        """Return the spread of an estimate with a digit more, as it is small beside the value."""
        spread = number(estimate.spread)
        return show_fixed(100 * spread if self.is_share else spread, self.digits + self.is_share)

    def show_signed(self, value: float | None) -> str:
        """Return a difference with its sign."""
        text = self.show(value)
        return text if text.startswith(("–", "−")) else f"+{text}"

    def interval(self, estimate: Estimate) -> str:
        """Return 'low to high', a dash where an estimate has no interval."""
        low, high = self.show(estimate.low), self.show(estimate.high)
        return "–" if "–" in (low, high) else f"{low} to {high}"

    @property
    def heading(self) -> str:
        """The title with its unit, as a table wants it."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def unit_of_difference(self) -> str:
        """The unit of a difference: two percentages differ by points."""
        return "points" if self.is_share else self.unit


def _years(name: str, title: str, **options: Any) -> Measure:
    return Measure(name, title, 2, "years", **options)


def _share(name: str, title: str) -> Measure:
    return Measure(name, title, 1, "%", is_share=True, higher_is_better=True)


#: All metrics of a row, in the order of the tables.
MEASURES = {
    measure.name: measure
    for measure in (
        Measure("score", "score", 3),
        _years("age_mae", "age MAE"),
        Measure("age_mape", "mean age error, share of the age (MAPE)", 1, "%", is_share=True),
        _years("age_rmse", "age RMSE"),
        Measure("age_r2", "age R²", 3, higher_is_better=True),
        _years("age_median_error", "median age error"),
        _years("age_bias", "age bias (read minus true)"),
        _share("age_within_5", "age within 5 years"),
        _share("age_within_10", "age within 10 years"),
        _share("gender_accuracy", "gender accuracy"),
        _share("gender_precision", "gender precision (female)"),
        _share("gender_recall", "gender recall (female)"),
        _share("gender_f1", "gender F1 (female)"),
        Measure("gender_roc_auc", "gender ROC-AUC", 4, higher_is_better=True),
        Measure("gender_pr_auc", "gender PR-AUC", 4, higher_is_better=True),
        Measure("gender_log_loss", "gender log-loss", 4),
        Measure("gender_brier", "gender Brier score", 4),
        Measure("gender_ece", "gender calibration error (ECE)", 4),
    )
}

#: The metrics that two models are compared by.
COMPARED = tuple(Difference.model_fields)


#: What a comparison of single seeds does not say. The years are the standard deviations between
#: seeds of the retrainings under ``results/``.
ONE_SEED = (
    "With one seed the intervals are for want of faces alone; another seed has moved the age MAE "
    "of a model by 0.01 to 0.06 years"
)


@dataclass(frozen=True)
class Comparison:
    """What one metric says of a against b, from the side of a."""

    title: str  # of the metric
    size: str  # "better by 0.12 years"
    interval: str | None  # "0.03 to 0.20", of 95 %; None where it is not known
    is_real: bool  # the interval leaves out zero

    @property
    def text(self) -> str:
        """The comparison as a sentence without its subject."""
        if self.interval is None:
            return f"{self.size}; without an interval that says little"
        conclusion = "a difference" if self.is_real else "no difference that these faces can show"
        return f"{self.size}, interval {self.interval}: {conclusion}"


def compare(difference: Difference) -> dict[str, Comparison]:
    """Return what each metric that exists says of a against b, by the metric's name."""
    said = {}
    for name in COMPARED:
        measure, estimate = MEASURES[name], getattr(difference, name)
        if estimate.value is None:
            continue
        # Turned so that a positive gain means that a is better.
        sign = 1 if measure.higher_is_better else -1
        gain = sign * estimate.value
        unit = f" {measure.unit_of_difference}" if measure.unit_of_difference else ""
        size = f"{'better' if gain >= 0 else 'worse'} by {measure.show(abs(gain))}{unit}"
        if estimate.low is None:
            said[name] = Comparison(measure.title, size, None, False)
            continue
        low, high = sorted((sign * estimate.low, sign * estimate.high))
        if gain < 0:
            low, high = -high, -low
        interval = f"{measure.show(low)} to {measure.show(high)}"
        said[name] = Comparison(measure.title, size, interval, low > 0)
    return said
