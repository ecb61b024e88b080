"""Values as a person would write them, for pages, tables and screens."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd


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
