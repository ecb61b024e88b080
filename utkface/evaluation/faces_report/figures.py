"""The faces as figures for their page. None shows a face.

Each function returns an `<svg>`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from utkface.evaluation.photo_measures import PhotoMeasure
from utkface.evaluation.report.svg import COLOUR, SMALL_WIDTH, new_figure, to_svg

_NUM_BARS = 40
_TAIL = 0.005  # share of faces that lies in each outermost bar
_WIDE = 30  # highest over lowest value
_MAX_SPREAD_YEARS = 20


def draw_years(ages: pd.Series) -> Markup:
    """Draw how many faces there are of each year of age."""
    figure, axes = new_figure(height=240)
    counts = np.bincount(ages)
    axes.bar(np.arange(len(counts)), counts, width=0.9, color=COLOUR["age"])
    axes.set(xlabel="age, years", ylabel="faces", xlim=(-1, max(len(counts), 10)))
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_formatter(_whole())
    return to_svg(figure, "years", f"Number of faces by year of age, of {len(ages)} faces")


def draw_pyramid(counts: NDArray[np.int64], labels: Sequence[str], groups: str) -> Markup:
    """Draw how many men and women there are in each group, from below; counts: (groups, 2)."""
    figure, axes = new_figure(height=60 + 24 * len(labels))
    men, women = counts.T
    axes.barh(labels, -men, 0.8, color=COLOUR["male"])
    axes.barh(labels, women, 0.8, color=COLOUR["female"])
    axes.axvline(0, color=COLOUR["paper"], lw=1.5)
    axes.set(xlabel="male and female faces", ylabel=groups)
    axes.grid(axis="y", visible=False)
    limit = 1.08 * counts.max()
    axes.set_xlim(-limit, limit)
    axes.xaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    axes.xaxis.set_major_formatter(_whole())
    return to_svg(figure, f"pyramid-{groups}", f"Men and women by {groups}")


def draw_measure(values: NDArray[np.float64], measure: PhotoMeasure) -> Markup:
    """Draw how a measure is distributed, its median, and where the middle 90 % lie."""
    known = values[np.isfinite(values)]
    figure, axes = new_figure(SMALL_WIDTH, 190)
    is_log = measure.is_skewed and bool((known > 0).any())
    base = known[known > 0] if is_log else known
    low, high = np.quantile(base, [_TAIL, 1 - _TAIL])
    if low == high:
        half = 0.1 * abs(low) + 0.5
        low, high = low * 0.9 if is_log else low - half, high + half
    edges = (np.geomspace if is_log else np.linspace)(low, high, _NUM_BARS + 1)
    shares = np.histogram(np.clip(known, low, high), edges)[0] / len(known)
    axes.bar(edges[:-1], shares, np.diff(edges), align="edge", color=COLOUR["running"], alpha=0.8)
    tails = np.quantile(known, [0.05, 0.95]).clip(low, high)
    for place in tails:
        axes.axvline(place, color=COLOUR["best"], lw=1.2, ls=":")
    axes.axvline(float(np.median(known)), color=COLOUR["best"], lw=2)
    if is_log:
        axes.set_xscale("log")
        is_wide = high > _WIDE * low  # else no two powers of ten, and their thirds, may be in it
        axes.xaxis.set_major_locator(
            LogLocator(10, subs=(1, 3), numticks=8) if is_wide else MaxNLocator(3)
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(which="minor", length=0)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlim(low, high)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(measure.unit)
    label = f"Distribution of {measure.title} over {len(known)} photographs"
    return to_svg(figure, measure.name, label)


def draw_spreads(spreads_years: NDArray[np.int64]) -> Markup:
    """Draw by how many years the ages of copies of one photograph disagree."""
    figure, axes = new_figure(height=240)
    end = _MAX_SPREAD_YEARS
    counts = np.bincount(np.minimum(spreads_years, end), minlength=end + 1)
    axes.bar(np.arange(end + 1), counts, 0.82, color=COLOUR["age"])
    axes.set_xticks([0, 5, 10, 15, end], ["0", "5", "10", "15", f"≥{end}"])
    axes.set(xlabel="oldest minus youngest label, years", ylabel="groups of copies")
    axes.grid(axis="x", visible=False)
    return to_svg(figure, "spreads", f"Spread of ages in {len(spreads_years)} groups of copies")


def _whole() -> FuncFormatter:
    return FuncFormatter(lambda value, _: f"{abs(value):,.0f}")
