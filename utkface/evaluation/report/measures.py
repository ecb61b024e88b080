"""What each metric is called, its unit, which way is better, and how a number of it is written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from utkface.evaluation.report.text import number, show_fixed


@dataclass(frozen=True)
class Measure:
    """How to write one metric; ``digits`` are those of a percentage where ``is_share``."""

    name: str
    title: str
    digits: int
    unit: str = ""
    is_share: bool = False
    higher_is_better: bool = False

    def show(self, value: Any) -> str:
        """Return a value without its unit: shares in per cent."""
        return show_fixed(100 * number(value) if self.is_share else number(value), self.digits)

    def show_spread(self, estimate: Any) -> str:
        """Return the spread of an estimate with a digit more, as it is small beside the value."""
        spread = part(estimate, "spread")
        return show_fixed(100 * spread if self.is_share else spread, self.digits + self.is_share)

    def show_signed(self, value: Any) -> str:
        """Return a difference with its sign."""
        text = self.show(value)
        return text if text.startswith(("–", "−")) else f"+{text}"

    def interval(self, estimate: Any) -> str:
        """Return 'low to high' of an estimate {"low", "high"}, a dash where it has none."""
        low, high = (self.show(part(estimate, name)) for name in ("low", "high"))
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
        Measure("gender_ece", "gender calibration error (ECE)", 4),
    )
}

#: What a subgroup can be called after.
ATTRIBUTES = {
    "age": "age",
    "gender": "gender",
    "race": "race",
    "luminance": "luminance (0 dark to 255 light)",
    "brisque": "BRISQUE (higher is worse)",
    "laplacian_variance": "sharpness (Laplacian variance)",
    "high_frequency_energy": "fine detail (high-frequency energy)",
    "colour_variance": "colour variance",
    "contrast": "contrast",
    "age_gender": "age × gender",
    "race_gender": "race × gender",
}


def attribute_title(name: str) -> str:
    """Return an attribute in words; a new one by its own name."""
    return ATTRIBUTES.get(name, name.replace("_", " "))


def part(estimate: Any, name: str = "value") -> float:
    """Return one number of an estimate, NaN where there is none."""
    return number(estimate.get(name)) if isinstance(estimate, Mapping) else math.nan


def overall(row: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    """Return a row's estimate of one metric, empty where it was not measured."""
    estimate = (row.get("overall") or {}).get(metric)
    return estimate if isinstance(estimate, Mapping) else {}
