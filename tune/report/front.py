"""The Pareto front of a search of several objectives: one figure for each pair of them."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tune.records import TrialRecord, objective_values
from tune.spaces import OBJECTIVES
from utkface.evaluation.report.svg import COLOUR, SMALL_WIDTH, new_figure, to_svg

#: The room that a trial's number takes, in units of the figure.
_NUMBER_WIDTH, _NUMBER_HEIGHT = 22, 16


def draw_front(
    records: Sequence[TrialRecord], front: Sequence[TrialRecord], objectives: Sequence[str]
) -> list[Markup]:
    """Draw the complete trials by each two objectives; those of the front bear their numbers.

    A trial whose place is in the front for the sake of a third objective may lie behind others.
    """
    in_front = {record.number for record in front}
    complete = [record for record in records if record.state == "COMPLETE"]
    places = {record.number: objective_values(record, objectives) for record in complete}
    places = {number: place for number, place in places.items() if all(map(math.isfinite, place))}
    if not places:
        return []
    return [
        _draw_pair({n: (place[i], place[j]) for n, place in places.items()}, in_front, names)
        for (i, j), names in zip(
            combinations(range(len(objectives)), 2), combinations(objectives, 2), strict=True
        )
    ]


def _draw_pair(
    places: dict[int, tuple[float, float]], in_front: set[int], names: tuple[str, str]
) -> Markup:
    figure, axes = new_figure(SMALL_WIDTH, 250)
    tooltips = {}
    for number in sorted(places, key=lambda n: (n in in_front, n)):
        x, y = places[number]
        gid = f"trial{number}"
        style: dict[str, Any] = {"color": COLOUR["complete"], "ms": 5, "alpha": 0.55}
        if number in in_front:
            style = {"color": COLOUR["best"], "ms": 7, "alpha": 1}
        axes.plot(x, y, "o", gid=gid, **style)
        tooltips[gid] = f"trial {number}: {names[0]} {x:.4g}, {names[1]} {y:.4g}"
    axes.set_xlabel(OBJECTIVES[names[0]])
    axes.set_ylabel(OBJECTIVES[names[1]])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(0.1)
    _leave_out_worst(axes, places, in_front)
    _write_numbers(figure, axes, {n: places[n] for n in sorted(in_front & places.keys())})
    label = f"{len(places)} complete trials by {names[0]} and {names[1]}, and the front"
    return to_svg(figure, f"front-{names[0]}-{names[1]}", label, tooltips)


def _write_numbers(figure: Figure, axes: Axes, places: dict[int, tuple[float, float]]) -> None:
    """Write trial numbers beside their dots where there is room; the pointer finds the others."""
    figure.draw_without_rendering()  # or the places are not settled yet
    taken: list[tuple[float, float]] = []
    for number, place in places.items():
        x, y = axes.transData.transform(place)
        if any(abs(x - u) < _NUMBER_WIDTH and abs(y - v) < _NUMBER_HEIGHT for u, v in taken):
            continue
        taken.append((x, y))
        axes.annotate(str(number), place, (4, 4), textcoords="offset points", color=COLOUR["ink"])


def _leave_out_worst(
    axes: Axes, places: dict[int, tuple[float, float]], in_front: set[int]
) -> None:
    """Let trials that are far worse than the whole front lie outside, where they squeeze it."""
    limits: list[Callable[[float, float], Any]] = [axes.set_xlim, axes.set_ylim]
    for index, set_limits in enumerate(limits):
        values = [place[index] for place in places.values()]
        low, high = min(values), max(values)
        needed = max(places[n][index] for n in in_front & places.keys())
        reach = max(needed, sorted(values)[math.ceil(0.9 * len(values)) - 1])
        if high - low > 2 * (reach - low) > 0:
            margin = 0.1 * (reach - low)
            set_limits(low - margin, reach + margin)
