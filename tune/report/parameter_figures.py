"""The searched parameters as figures: importance, parallel coordinates, one slice for each."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution

from tune.report.analysis import Comparable, Metric
from tune.report.figures import limits_without_worst
from tune.report.importance import Importances
from utkface.evaluation.report.svg import (
    COLOUR,
    RANKS,
    SMALL_TEXT_SIZE,
    SMALL_WIDTH,
    new_figure,
    to_svg,
)
from utkface.evaluation.report.text import number, show, show_fixed

#: Where a trial stands that has no such parameter, to the right of an axis from 0 to 1.
_UNUSED = 1.14
_ROW_UNITS = 50


class Scale:
    """One parameter's values on a line from 0 to 1, as its distribution has them."""

    def __init__(self, distributions: Sequence[BaseDistribution]) -> None:
        first = distributions[0]
        self.choices: list[Any] = []
        self.is_log = False
        if isinstance(first, CategoricalDistribution):
            for distribution in distributions:
                choices = getattr(distribution, "choices", ())
                self.choices += [choice for choice in choices if choice not in self.choices]
        else:
            self.is_log = bool(getattr(first, "log", False))
            self.low = min(getattr(d, "low", math.inf) for d in distributions)
            self.high = max(getattr(d, "high", -math.inf) for d in distributions)

    def place(self, value: Any) -> float:
        """Return where ``value`` stands, NaN for one that the distribution does not have."""
        if self.choices:
            if value not in self.choices:
                return math.nan
            return (self.choices.index(value) + 0.5) / len(self.choices)
        if self.high == self.low or not math.isfinite(number(value)):
            return 0.5 if value == self.low else math.nan
        if self.is_log:
            if value <= 0:
                return math.nan
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, max_chars: int) -> list[tuple[float, str]]:
        """Return places and texts: every choice, or both ends and the middle."""
        if self.choices:
            length = max(4, max_chars // len(self.choices))
            return [(self.place(choice), _cut(show(choice), length)) for choice in self.choices]
        values = [self.low, *self._inner_ticks(), self.high]
        return [(self.place(value), f"{value:.3g}".replace("e-0", "e-")) for value in values]

    def _inner_ticks(self) -> list[float]:
        """Return the middle, or the powers of ten that are not too near to either end."""
        if not self.is_log:
            return [(self.low + self.high) / 2]
        exponents = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        powers = [10.0**e for e in exponents if 0.18 < self.place(10.0**e) < 0.82]
        return powers[:: math.ceil(len(powers) / 2)] if powers else []


def find_scales(study: optuna.Study) -> dict[str, Scale]:
    """Return a scale for every parameter that the study's trials were given and that can vary."""
    seen: dict[str, list[BaseDistribution]] = {}
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            if distribution not in seen.setdefault(name, []):
                seen[name].append(distribution)
    return {
        name: Scale(distributions)
        for name, distributions in sorted(seen.items())
        if len(distributions) > 1 or not distributions[0].single()
    }


def draw_importance(importances: Importances) -> Markup:
    """Draw each parameter's share of the importance, beside what chance would reach."""
    shown = importances.parameters[::-1]
    figure, axes = new_figure(height=60 + 27 * len(shown))
    places = range(len(shown))
    for place, item in zip(places, shown, strict=True):
        beyond = item.share > item.chance
        axes.barh(place, item.share, 0.62, color=COLOUR["best" if beyond else "stopped"])
        axes.plot([item.chance] * 2, [place - 0.42, place + 0.42], color=COLOUR["ink"], lw=2)
    names = [
        item.name
        if item.num_trials == importances.num_trials
        else f"{item.name} ({item.num_trials})"
        for item in shown
    ]
    axes.set_yticks(list(places), names)
    axes.tick_params(axis="y", labelcolor=COLOUR["ink"], length=0)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlim(left=0)
    label = "Importance of each parameter; the most important is " + importances.parameters[0].name
    return to_svg(figure, "importance", label)


def draw_parallel(
    comparable: Comparable, scales: Mapping[str, Scale], marked: Collection[int], by: Metric
) -> Markup | None:
    """Draw each trial as a line through its parameters, one horizontal axis below the other.

    Lines are coloured by the rank of the comparable score; the ``marked`` on top.
    """
    if not scales or not comparable.records:
        return None
    figure, axes = new_figure(height=_ROW_UNITS * len(scales) + 40)
    rows = {name: -row for row, name in enumerate(scales)}
    unused = [name for name in scales if any(name not in r.params for r in comparable.records)]
    for name, scale in scales.items():
        _draw_axis(axes, rows[name], name, scale)
    tooltips = {}
    ranked = [(rank, *pair) for rank, pair in enumerate(comparable.pairs)]
    for rank, record, score in sorted(ranked, key=lambda row: (row[1].number in marked, -row[0])):
        fifth = 5 * rank // len(ranked)
        x = [
            scale.place(record.params[name]) if name in record.params else _UNUSED
            for name, scale in scales.items()
        ]
        is_best = record.number in marked
        gid = f"line{record.number}"
        axes.plot(
            x, list(rows.values()), gid=gid, color=COLOUR["best"] if is_best else RANKS[fifth],
            lw=2.8 if is_best else 1.4, alpha=1 if is_best else 0.8 if fifth == 0 else 0.4,
        )  # fmt: skip
        tooltips[gid] = f"trial {record.number}, rank {rank + 1}, {by.words} {show_fixed(score, 4)}"
    for name in unused:
        axes.plot(_UNUSED, rows[name], "o", ms=4, color=COLOUR["muted"])
        axes.text(
            _UNUSED, rows[name] - 0.14, "unused", ha="center", va="top", color=COLOUR["muted"],
            fontsize=SMALL_TEXT_SIZE,
        )  # fmt: skip
    axes.set_axis_off()
    axes.set_xlim(-0.03, _UNUSED + 0.08 if unused else 1.03)
    axes.set_ylim(-len(scales) + 0.4, 0.75)
    label = f"{len(ranked)} trials, each a line through its {len(scales)} parameters"
    return to_svg(figure, "parallel", label, tooltips)


def _draw_axis(axes: Axes, row: float, name: str, scale: Scale) -> None:
    axes.plot([0, 1], [row, row], color=COLOUR["muted"], lw=1)
    # The lines pass behind the texts, which have the page's colour around them.
    back: dict[str, Any] = {"facecolor": COLOUR["paper"], "alpha": 0.75, "lw": 0, "pad": 1}
    unit = " (log)" if scale.is_log else ""
    axes.text(0, row + 0.2, name + unit, fontweight="bold", bbox=back, zorder=5)
    for place, text in scale.ticks(max_chars=64):
        axes.plot([place] * 2, [row - 0.06, row + 0.06], color=COLOUR["muted"], lw=1)
        # At the ends a text would hang over the figure's edge.
        side = {0.0: "left", 1.0: "right"}.get(place, "center")
        axes.text(
            place, row - 0.14, text, ha=side, va="top", color=COLOUR["muted"],
            fontsize=SMALL_TEXT_SIZE, bbox=back, zorder=5,
        )  # fmt: skip


def draw_slice(
    comparable: Comparable, name: str, scale: Scale, marked: Collection[int], by: Metric
) -> Markup | None:
    """Draw the comparable scores against one parameter; the ``marked`` stand out."""
    having = [
        (record, scale.place(record.params[name]), score)
        for record, score in comparable.pairs
        if name in record.params
    ]
    if not having:
        return None
    figure, axes = new_figure(SMALL_WIDTH, 220)
    places = _spread([place for _, place, _ in having], scale)
    scores = [score for _, _, score in having]
    for is_complete, style in ((False, _HOLLOW), (True, _FILLED)):
        chosen = [i for i, (r, *_) in enumerate(having) if (r.state == "COMPLETE") == is_complete]
        axes.plot([places[i] for i in chosen], [scores[i] for i in chosen], "o", **style)
    for i, (record, *_) in enumerate(having):
        if record.number in marked:
            axes.plot(places[i], scores[i], "o", color=COLOUR["best"], ms=9)
    axes.set_title(name + (" (log)" if scale.is_log else ""), fontweight="bold")
    axes.set_xlim(-0.06, 1.06)
    ticks = scale.ticks(max_chars=80)
    # Four names or more take two lines, in turn, to keep out of each other's way.
    lower = "\n" if len(scale.choices) > 3 else ""
    texts = [lower * (i % 2) + text for i, (_, text) in enumerate(ticks)]
    axes.set_xticks([place for place, _ in ticks], texts)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    if limits := limits_without_worst(scores):
        axes.set_ylim(*limits)
    return to_svg(figure, f"slice-{name}", f"{by.title} against {name} for {len(having)} trials")


_FILLED: dict[str, Any] = {"color": COLOUR["complete"], "ms": 6, "alpha": 0.8}
_HOLLOW: dict[str, Any] = {"mec": COLOUR["stopped"], "mfc": "none", "ms": 5, "alpha": 0.9}


def _spread(places: list[float], scale: Scale) -> list[float]:
    """Move trials of one choice apart a little, always the same way, so that each can be seen."""
    if not scale.choices:
        return places
    width = 0.5 / len(scale.choices)
    # The golden ratio's multiples fill an interval evenly, however many there are.
    return [p + width * ((0.618034 * i) % 1 - 0.5) for i, p in enumerate(places)]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
