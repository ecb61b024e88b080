"""Axes that the figures of searches share: scores on a logarithmic scale, time in its unit."""

import math
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from utkface.evaluation.report.svg import COLOUR

#: The score of the reference's published model, by the definition of the score.
REFERENCE_SCORE = 1.0
_ROUND_TICKS = (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 8)


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which a time of so many seconds is shown, and its seconds."""
    if seconds >= 2 * 3600:
        return "hours", 3600
    return ("minutes", 60) if seconds >= 120 else ("seconds", 1)


def set_score_axis(axes: Axes, values: Iterable[float], clip: bool = False) -> tuple[float, float]:
    """Make the y axis logarithmic around the finite scores, with round ticks; return its limits.

    With ``clip`` the worst twentieth, and all beyond ten times the best, may lie outside: what is
    interesting happens near the best.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    low, high = finite[0], finite[-1]
    if clip:
        high = min(finite[math.ceil(0.95 * len(finite)) - 1], 10 * abs(low))
    if low <= 0:  # no score of ours, but a space of a user's own may have one
        return axes.get_ylim()
    margin = max((high / low) ** 0.05, 1.01)  # ticks of one per cent can still be told apart
    low, high = low / margin, high * margin
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(_log_ticks(low, high)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    return low, high


def _log_ticks(low: float, high: float) -> list[float]:
    """Return at most eight round numbers between ``low`` and ``high``."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [
        tick * 10.0**d for d in decades for tick in _ROUND_TICKS if low <= tick * 10.0**d <= high
    ]
    if len(ticks) < 3:  # a narrow range, as linear as any
        return [t for t in MaxNLocator(nbins=6).tick_values(low, high) if low <= t <= high]
    step = math.ceil(len(ticks) / 8)
    return ticks[::-1][::step][::-1]


def mark_reference(axes: Axes, low: float, high: float, wanted: bool) -> None:
    """Draw the reference's score where it is wanted and lies between the limits."""
    if wanted and low < REFERENCE_SCORE < high:
        axes.axhline(REFERENCE_SCORE, color=COLOUR["reference"], lw=1.2, ls=(0, (5, 3)))
