"""Best score so far of several searches in one figure, over trials or over time."""

import math
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from tune.compare.runs import Compared
from tune.report.axes import mark_reference, set_score_axis, time_unit
from utkface.evaluation.report.svg import COLOUR, new_figure, to_svg
from utkface.evaluation.report.text import show_fixed

#: Roles of the page's colours, in the order of the searches; then again, with other dashes.
ROLES = ("best", "complete", "running", "reference", "failed", "stopped")
_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))


def role(index: int) -> str:
    """Return the colour of a search by its place."""
    return ROLES[index % len(ROLES)]


def draw_best_so_far(
    compared: Sequence[Compared], by_time: bool, show_reference: bool
) -> Markup | None:
    """Draw each search's best score so far; a line ends where its search did."""
    drawn = [(index, *_steps(each, by_time)) for index, each in enumerate(compared)]
    drawn = [(index, x, best, end) for index, x, best, end in drawn if x]
    if not drawn:
        return None
    longest = max(end for *_, end in drawn)
    unit, unit_s = time_unit(longest) if by_time else ("", 1)
    figure, axes = new_figure(height=300)
    for index, x, best, end in drawn:
        line = [*x, end]
        axes.step(
            [value / unit_s for value in line], [*best, best[-1]], where="post", lw=2.2,
            color=COLOUR[role(index)], ls=_DASHES[index // len(ROLES) % len(_DASHES)],
            label=compared[index].letter,
        )  # fmt: skip
        axes.plot(x[0] / unit_s, best[0], "o", color=COLOUR[role(index)], ms=5)
        axes.plot(end / unit_s, best[-1], "|", color=COLOUR[role(index)], ms=11, mew=2.2)
    axes.set_xlabel(f"{unit} since the search began" if by_time else "trial number")
    axes.set_ylabel("best score so far (lower is better)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=not by_time, nbins=7, min_n_ticks=1))
    if by_time:
        axes.set_xlim(0, 1.04 * longest / unit_s or 1)
    low, high = set_score_axis(axes, [score for *_, best, _ in drawn for score in best])
    mark_reference(axes, low, high, show_reference)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderpad=0)
    kind = "time" if by_time else "trials"
    ends = ", ".join(f"{compared[i].letter} {show_fixed(best[-1], 4)}" for i, _, best, _ in drawn)
    return to_svg(figure, f"best-{kind}", f"Best score so far over {kind}, ending at {ends}")


def _steps(each: Compared, by_time: bool) -> tuple[list[float], list[float], float]:
    """Return where a search's best changed or was equalled, the best there, and its end."""
    done = [(f.time_s if by_time else float(f.number), f.score) for f in each.done]
    done = sorted(item for item in done if math.isfinite(item[0]))
    best, steps = math.inf, []
    for _, score in done:
        best = min(best, score)
        steps.append(best)
    x = [place for place, _ in done]
    last = each.end_s if by_time else float(max((r.number for r in each.run.records), default=0))
    return x, steps, last if math.isfinite(last) else max(x, default=0.0)
