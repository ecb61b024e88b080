"""Values as a person would write them, for pages, tables and screens; and pages of one file.

`base.html.j2` holds what all pages have in common: a head that forbids any request, and macros.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from utkface.evaluation.records import Estimate, SeedEstimate
from utkface.io import replacing

_SHARED = Path(__file__).parent


def number(value: Any) -> float:
    """Return ``value`` as a float, NaN for whatever is not a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else math.nan


def show(value: Any) -> str:
    """Return a value as a person would write it: four significant digits, a dash for nothing."""
    if value is None or value is pd.NA:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value)) or "–"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < 1e7
        return f"{value:.0f}" if is_whole else f"{value:.4g}"  # 10000 rather than 1e+04
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def show_fixed(value: Any, digits: int) -> str:
    """Return a number with fixed digits, so that a column of them lines up; a dash for none."""
    if not math.isfinite(number(value)):
        return "–"
    text = f"{number(value):z.{digits}f}"  # z: what rounds to zero has no sign
    return text.replace("-", "−")


def show_percent(value: Any) -> str:
    """Return a share of one as a percentage with one digit."""
    share = number(value)
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"


def show_duration(seconds: Any) -> str:
    """Return seconds as '2 h 05 min', '3 min 20 s' or '12 s'."""
    if not math.isfinite(number(seconds)):
        return "–"
    whole = round(number(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def show_fields(values: Any) -> str:
    """Return a mapping as 'cpus 2, gpus 0'; anything else as `show` does."""
    if not isinstance(values, Mapping):
        return show(values)
    return ", ".join(f"{name} {show(value)}" for name, value in values.items()) or "–"


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


def write_page(path: Path, template: Path, context: Mapping[str, Any]) -> Path:
    """Render ``template`` to ``path``, whole or not at all, and return the path.

    Texts in ``context`` are escaped; only `Markup` (figures) is taken as it is.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, _SHARED]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "show": show,
        "fixed": show_fixed,
        "percent": show_percent,
        "duration": show_duration,
    }
    html = environment.get_template(template.name).render(context)
    html = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", html)  # a number and its sign stay together
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path
