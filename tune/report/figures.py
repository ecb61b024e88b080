"""A search's course as figures: best so far, curves, rungs, losses, the Pareto front.

Each function returns an `<svg>` for the page, or None where there is nothing to draw yet. Drawn
here and not by `optuna.visualization.matplotlib`: that knows neither scores at a common epoch nor
a page's colours, light or dark. Figures of the parameters are in `tune.report.parameter_figures`.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate, combinations
from typing import TYPE_CHECKING

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from tune.records.trials import TrialRecord, objective_values
from tune.report.analysis import Finish, Metric, Rung, curve
from tune.spaces.objectives import OBJECTIVES
from utkface.evaluation.report.svg import COLOUR, SMALL_WIDTH, new_figure, to_svg
from utkface.evaluation.report.text import show_fixed

if TYPE_CHECKING:
    from tune.report.compare import Compared

#: The score of the reference's published model, by the definition of the score.
REFERENCE_SCORE = 1.0
_ROUND_TICKS = (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 8)
#: How a trial's curve ends, by its state: colour and marker.
_ENDS = {
    "COMPLETE": ("complete", "o"),
    "PRUNED": ("stopped", "_"),
    "FAIL": ("failed", "x"),
    "RUNNING": ("running", ">"),
}
#: Colours of the searches of a comparison, in their order; then again, with other dashes.
SEARCH_ROLES = ("best", "complete", "running", "reference", "failed", "stopped")
_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))
#: The room that a trial's number takes, in units of the figure.
_NUMBER_WIDTH, _NUMBER_HEIGHT = 22, 16


def draw_progress(
    done: Sequence[Finish], by_time: bool, show_reference: bool, by: Metric
) -> Markup | None:
    """Draw each complete trial's score and the best so far, over time or over trial numbers.

    ``by`` says what the score is, here and below.
    """
    points = _by_time_or_number(done, by_time)
    if not points:
        return None
    places, scores = zip(*points, strict=True)
    unit, unit_s = _time_unit(max(places)) if by_time else ("", 1)
    x = [place / unit_s for place in places]
    figure, axes = new_figure()
    axes.plot(x, scores, "o", color=COLOUR["complete"], ms=5, alpha=0.55)
    axes.step(x, list(accumulate(scores, min)), where="post", color=COLOUR["best"], lw=2.2)
    winner = scores.index(min(scores))
    axes.plot(x[winner], scores[winner], "o", color=COLOUR["best"], ms=8)
    axes.set_ylabel(f"{by.words} (lower is better)")
    _finish_course(axes, scores, unit, max(x), show_reference)
    kind = "time" if by_time else "trials"
    label = f"Best {by.words} so far over {kind}, ending at {show_fixed(min(scores), 4)}"
    return to_svg(figure, f"progress-{kind}", label)


def draw_searches(
    compared: Sequence["Compared"], by_time: bool, show_reference: bool
) -> Markup | None:
    """Draw the best score so far of several searches; a line ends where its search did."""
    drawn = []
    for index, each in enumerate(compared):
        if points := _by_time_or_number(each.done, by_time):
            places, scores = zip(*points, strict=True)
            end = each.end_s if by_time else float(max(r.number for r in each.records))
            course = [*places, end if math.isfinite(end) else max(places)]
            drawn.append((index, each.letter, course, list(accumulate(scores, min))))
    if not drawn:
        return None
    longest = max(course[-1] for *_, course, _ in drawn)
    unit, unit_s = _time_unit(longest) if by_time else ("", 1)
    figure, axes = new_figure(height=300)
    for index, letter, course, best in drawn:
        x = [place / unit_s for place in course]
        colour = COLOUR[search_role(index)]
        axes.step(
            x, [*best, best[-1]], where="post", lw=2.2, color=colour, label=letter,
            ls=_DASHES[index // len(SEARCH_ROLES) % len(_DASHES)],
        )  # fmt: skip
        axes.plot(x[0], best[0], "o", color=colour, ms=5)
        axes.plot(x[-1], best[-1], "|", color=colour, ms=11, mew=2.2)
    axes.set_ylabel("best score so far (lower is better)")
    all_best = [score for *_, best in drawn for score in best]
    _finish_course(axes, all_best, unit, longest / unit_s, show_reference)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderpad=0)
    kind = "time" if by_time else "trials"
    ends = ", ".join(f"{letter} {show_fixed(best[-1], 4)}" for _, letter, _, best in drawn)
    return to_svg(figure, f"best-{kind}", f"Best score so far over {kind}, ending at {ends}")


def search_role(index: int) -> str:
    """Return the colour of a search among several by its place."""
    return SEARCH_ROLES[index % len(SEARCH_ROLES)]


def draw_curves(
    records: Sequence[TrialRecord],
    rungs: Sequence[int],
    marked: Collection[int],
    show_reference: bool,
    by: Metric,
) -> Markup | None:
    """Draw every trial's score after each epoch, and how it ended; the ``marked`` on top."""
    drawn = [r for r in records if any(map(math.isfinite, curve(r, by.name)[1]))]
    if not drawn:
        return None
    figure, axes = new_figure(height=340)
    for rung in rungs:
        axes.axvline(rung, color=COLOUR["muted"], lw=0.8, ls=(0, (1, 3)))
    tooltips = {}
    faint = 0.6 if len(drawn) < 50 else 0.35
    # Trials that ran on lie over those that were stopped.
    for record in sorted(drawn, key=lambda r: (r.number in marked, r.state == "COMPLETE")):
        epochs, scores = curve(record, by.name)
        is_best = record.number in marked
        role, marker = _ENDS[record.state]
        gid = f"trial{record.number}"
        axes.plot(
            epochs, scores, color=COLOUR["best" if is_best else role], lw=2.4 if is_best else 1.1,
            alpha=1 if is_best else faint, ls="--" if record.state == "RUNNING" else "-", gid=gid,
            marker=marker, markevery=[len(epochs) - 1], ms=7 if is_best else 6, mew=1.6,
        )  # fmt: skip
        tooltips[gid] = (
            f"trial {record.number}, {record.ending} after epoch {epochs[-1]}, "
            f"{by.words} {show_fixed(scores[-1], 4)}"
        )
    _count_epochs(axes, "epoch (dotted: rungs)" if rungs else "epoch")
    axes.set_xlim(left=0.5)
    axes.set_ylabel(f"{by.words} after the epoch (log)")
    every_score = [score for r in drawn for score in curve(r, by.name)[1]]
    _set_score_axis(axes, every_score, show_reference, clip=True)
    label = (
        f"{by.title} after each epoch of {len(drawn)} trials; each curve's end shows how it ended"
    )
    return to_svg(figure, "curves", label, tooltips)


def draw_rung(rung: Rung, last_epoch: int, by: Metric) -> Markup:
    """Draw the survivors' scores at one rung against those at the end."""
    pairs = rung.end.pairs
    figure, axes = new_figure(SMALL_WIDTH, 230)
    axes.plot(*zip(*pairs, strict=True), "o", color=COLOUR["complete"], ms=6, alpha=0.7)
    axes.plot(*min(pairs, key=lambda pair: pair[1]), "o", color=COLOUR["best"], ms=8)
    axes.set_xlabel(f"{by.words} after epoch {rung.epoch}")
    axes.set_ylabel(f"after epoch {last_epoch}")
    _space_out(axes)
    axes.set_title(f"ρ = {show_fixed(rung.end.correlation, 2)}, {len(pairs)} trials")
    label = f"{by.title} after epoch {rung.epoch} against the end"
    return to_svg(figure, f"rung-{rung.epoch}", label)


def draw_losses(best: TrialRecord) -> list[Markup]:
    """Draw the best trial's training losses beside what validation says of the same task."""
    drawings = []
    for task, train, validation, unit in (
        ("gender", "train_gender_loss", "gender_log_loss", "cross-entropy"),
        ("age", "train_age_loss", "age_mae", "loss, MAE (first epoch = 1)"),
    ):
        (epochs, losses), (_, checks) = curve(best, train), curve(best, validation)
        if not any(map(math.isfinite, losses)) or not any(map(math.isfinite, checks)):
            continue
        if task == "age":  # the two have different units, so each starts from 1
            losses, checks = _relative(losses), _relative(checks)
        figure, axes = new_figure(height=250)
        axes.plot(epochs, losses, "o--", color=COLOUR["complete"], ms=4, lw=1.6, label="training")
        axes.plot(epochs, checks, "o-", color=COLOUR["best"], ms=4, lw=2.2, label="validation")
        axes.set_title(task.capitalize())
        _count_epochs(axes, "epoch")
        axes.set_ylabel(unit)
        axes.legend()
        label = f"{task.capitalize()}: training and validation loss of trial {best.number} by epoch"
        drawings.append(to_svg(figure, f"losses-{task}", label))
    return drawings


def _relative(values: Sequence[float]) -> list[float]:
    first = next((v for v in values if math.isfinite(v) and v != 0), 1.0)
    return [value / first for value in values]


def draw_front(
    complete: Sequence[TrialRecord], front: Sequence[TrialRecord], objectives: Sequence[str]
) -> list[Markup]:
    """Draw trials with finite values by each two objectives; those of the front have numbers.

    A trial whose place is in the front for the sake of a third objective may lie behind others.
    """
    in_front = {record.number for record in front}
    values = {record.number: objective_values(record, objectives) for record in complete}
    return [
        _draw_pair({number: (row[i], row[j]) for number, row in values.items()}, in_front, one, two)
        for (i, one), (j, two) in combinations(enumerate(objectives), 2)
    ]


def _draw_pair(
    places: dict[int, tuple[float, float]], in_front: Collection[int], one: str, two: str
) -> Markup:
    figure, axes = new_figure(SMALL_WIDTH, 250)
    tooltips = {}
    for number in sorted(places, key=lambda n: (n in in_front, n)):
        x, y = places[number]
        gid = f"trial{number}"
        role, size, alpha = ("best", 7, 1) if number in in_front else ("complete", 5, 0.55)
        axes.plot(x, y, "o", gid=gid, color=COLOUR[role], ms=size, alpha=alpha)
        tooltips[gid] = f"trial {number}: {one} {x:.4g}, {two} {y:.4g}"
    axes.set_xlabel(OBJECTIVES[one])
    axes.set_ylabel(OBJECTIVES[two])
    _space_out(axes)
    # Trials that are far worse than the whole front lie outside, where they squeeze it.
    for i, axis in enumerate("xy"):
        needed = max(places[number][i] for number in in_front)
        if limits := limits_without_worst([place[i] for place in places.values()], needed, 0.1):
            axes.set(**{f"{axis}lim": limits})
    # Numbers stand beside the front's dots where there is room; the pointer finds the others.
    figure.draw_without_rendering()  # or the places are not settled yet
    taken: list[tuple[float, float]] = []
    for number in sorted(in_front):
        x, y = axes.transData.transform(places[number])
        if all(abs(x - u) >= _NUMBER_WIDTH or abs(y - v) >= _NUMBER_HEIGHT for u, v in taken):
            taken.append((x, y))
            axes.annotate(
                str(number), places[number], (4, 4), textcoords="offset points", color=COLOUR["ink"]
            )
    label = f"{len(places)} complete trials by {one} and {two}, and the front"
    return to_svg(figure, f"front-{one}-{two}", label, tooltips)


def _space_out(axes: Axes) -> None:
    """Leave a small figure's dots room to the edges, and its ticks to each other."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(0.1)


def limits_without_worst(
    values: Sequence[float], needed: float = -math.inf, margin: float = 0.06
) -> tuple[float, float] | None:
    """Return limits that leave out the worst tenth where it would squeeze all others together.

    All up to ``needed`` stays inside. None where nothing has to be left out.
    """
    low, high = min(values), max(values)
    reach = max(needed, sorted(values)[math.ceil(0.9 * len(values)) - 1])
    if not high - low > 2 * (reach - low) > 0:
        return None
    return low - margin * (reach - low), reach + margin * (reach - low)


def _by_time_or_number(done: Sequence[Finish], by_time: bool) -> list[tuple[float, float]]:
    """Return where each complete trial stands (s, or its number) and its score, in that order.

    Over trial numbers the best so far is that of the numbers up to there, not of the clock.
    """
    points = [(f.time_s if by_time else float(f.number), f.score) for f in done]
    return sorted(point for point in points if math.isfinite(point[0]))


def _time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which a time of so many seconds is shown, and its seconds."""
    if seconds >= 2 * 3600:
        return "hours", 3600
    return ("minutes", 60) if seconds >= 120 else ("seconds", 1)


def _finish_course(
    axes: Axes, scores: Sequence[float], unit: str, end: float, show_reference: bool
) -> None:
    """Set up the axes of scores over time up to ``end``, or over trial numbers: without a unit."""
    axes.set_xlabel(f"{unit} since the search began" if unit else "trial number")
    axes.xaxis.set_major_locator(MaxNLocator(integer=not unit, nbins=7, min_n_ticks=1))
    if unit:
        axes.set_xlim(0, 1.04 * end or 1)
    _set_score_axis(axes, scores, show_reference)


def _count_epochs(axes: Axes, label: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.set_xlabel(label)


def _set_score_axis(
    axes: Axes, values: Iterable[float], show_reference: bool, clip: bool = False
) -> None:
    """Make the y axis logarithmic around the finite scores, with round ticks.

    With ``clip`` the worst twentieth, and all beyond ten times the best, may lie outside: what is
    interesting happens near the best. The reference's score is drawn where it lies inside.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    low, high = finite[0], finite[-1]
    if clip:
        high = min(finite[math.ceil(0.95 * len(finite)) - 1], 10 * abs(low))
    if low > 0:  # an error of 0 has no logarithm
        margin = max((high / low) ** 0.05, 1.01)  # ticks of one per cent can still be told apart
        low, high = low / margin, high * margin
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(FixedLocator(_log_ticks(low, high)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    if show_reference and low < REFERENCE_SCORE < high:
        axes.axhline(REFERENCE_SCORE, color=COLOUR["reference"], lw=1.2, ls=(0, (5, 3)))


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
