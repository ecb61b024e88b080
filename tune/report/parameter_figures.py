"""The searched parameters as figures: importance, parallel coordinates, one slice for each."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution

from tune.report.analysis import Comparable, Importances, Metric
from tune.report.figures import limits_without_worst
from utkface.evaluation.report.svg import (
    COLOUR,
    RANKS,
    SMALL_TEXT_SIZE,
    SMALL_WIDTH,
    new_figure,
    to_svg,
)
from utkface.evaluation.report.text import show, show_fixed

#: Where a trial stands that has no such parameter, to the right of an axis from 0 to 1.
_UNUSED = 1.14
_ROW_UNITS = 50
_FILLED: dict[str, Any] = {"color": COLOUR["complete"], "ms": 6, "alpha": 0.8}
_HOLLOW: dict[str, Any] = {"mec": COLOUR["stopped"], "mfc": "none", "ms": 5, "alpha": 0.9}


class Scale:
    """One parameter's values on a line from 0 to 1, as all its ``distributions`` have them.

    Optuna sees to it that they are of one kind, with the same choices or on the same scale.
    """

    def __init__(self, distributions: Sequence[Any]) -> None:
        is_choice = isinstance(distributions[0], CategoricalDistribution)
        self.choices = list(distributions[0].choices) if is_choice else []
        self.is_log = not is_choice and distributions[0].log
        if not is_choice:
            self.low = min(distribution.low for distribution in distributions)
            self.high = max(distribution.high for distribution in distributions)

    def place(self, value: Any) -> float:
        """Return where ``value`` stands."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, max_chars: int) -> list[tuple[float, str]]:
        """Return places and texts: every choice, or both ends and the middle."""
        if self.choices:
            length = max(4, max_chars // len(self.choices))
            return [(self.place(choice), _cut(show(choice), length)) for choice in self.choices]
        middle = [(self.low + self.high) / 2]
        if self.is_log:  # the powers of ten that are not too near to either end
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            powers = [10.0**exponent for exponent in range(first, last + 1)]
            powers = [power for power in powers if 0.18 < self.place(power) < 0.82]
            middle = powers[:: math.ceil(len(powers) / 2) or 1]
        values = [self.low, *middle, self.high]
        return [(self.place(value), f"{value:.3g}".replace("e-0", "e-")) for value in values]


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
    for place, item in enumerate(shown):
        beyond = item.share > item.chance
        axes.barh(place, item.share, 0.62, color=COLOUR["best" if beyond else "stopped"])
        axes.plot([item.chance] * 2, [place - 0.42, place + 0.42], color=COLOUR["ink"], lw=2)
    names = [
        item.name + (f" ({item.num_trials})" if item.num_trials < importances.num_trials else "")
        for item in shown
    ]
    axes.set_yticks(range(len(shown)), names)
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
    if not scales or not comparable.pairs:
        return None
    figure, axes = new_figure(height=_ROW_UNITS * len(scales) + 40)
    rows = {name: -row for row, name in enumerate(scales)}
    unused = [name for name in scales if any(name not in r.params for r, _ in comparable.pairs)]
    for name, scale in scales.items():
        _draw_axis(axes, rows[name], name, scale)
    tooltips = {}
    ranked = list(enumerate(comparable.pairs))
    ranked.sort(key=lambda item: (item[1][0].number in marked, -item[0]))
    for rank, (record, score) in ranked:
        fifth = 5 * rank // len(ranked)
        color, width, alpha = RANKS[fifth], 1.4, 0.4 if fifth else 0.8
        if record.number in marked:
            color, width, alpha = COLOUR["best"], 2.8, 1
        x = [
            scale.place(record.params[name]) if name in record.params else _UNUSED
            for name, scale in scales.items()
        ]
        gid = f"line{record.number}"
        axes.plot(x, list(rows.values()), gid=gid, color=color, lw=width, alpha=alpha)
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
    having = [(r, score) for r, score in comparable.pairs if name in r.params]
    if not having:
        return None
    places = [scale.place(record.params[name]) for record, _ in having]
    if scale.choices:
        # Trials of one choice are moved apart a little, always the same way, so that each can be
        # seen. The golden ratio's multiples fill an interval evenly, however many there are.
        width = 0.5 / len(scale.choices)
        places = [p + width * ((0.618034 * i) % 1 - 0.5) for i, p in enumerate(places)]
    scores = [score for _, score in having]
    dots = [(r, place, score) for place, (r, score) in zip(places, having, strict=True)]
    figure, axes = new_figure(SMALL_WIDTH, 220)
    for is_complete, style in ((False, _HOLLOW), (True, _FILLED)):
        chosen = [(x, y) for r, x, y in dots if (r.state == "COMPLETE") == is_complete]
        axes.plot([x for x, _ in chosen], [y for _, y in chosen], "o", **style)
    for record, place, score in dots:
        if record.number in marked:
            axes.plot(place, score, "o", color=COLOUR["best"], ms=9)
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


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
