"""The search's course as figures: best so far, every trial's curve, rungs, the best's losses.

Each function returns an `<svg>` for the page, or None where there is nothing to draw yet.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from tune.records import TrialRecord
from tune.report.analysis import STATES, Finish, Rung, curve
from tune.report.axes import mark_reference, set_score_axis, time_unit
from tune.report.yardstick import Yardstick
from utkface.evaluation.report.svg import COLOUR, SMALL_WIDTH, new_figure, to_svg
from utkface.evaluation.report.text import show_fixed

#: How a trial's curve ends, by its state.
_STATE_COLOUR = {
    "COMPLETE": COLOUR["complete"],
    "PRUNED": COLOUR["stopped"],
    "FAIL": COLOUR["failed"],
    "RUNNING": COLOUR["running"],
}
_END_MARKER = {"COMPLETE": "o", "PRUNED": "_", "FAIL": "x", "RUNNING": ">"}


def draw_progress(
    done: Sequence[Finish], by_time: bool, show_reference: bool, by: Yardstick
) -> Markup | None:
    """Draw each complete trial's score and the best so far, over time or over trial numbers.

    ``by`` says what the score is, here and below.
    """
    if by_time:
        done = [finish for finish in done if math.isfinite(finish.time_s)]
    if not done:
        return None
    unit, unit_s = time_unit(max(finish.time_s for finish in done)) if by_time else ("", 1)
    x = [f.time_s / unit_s if by_time else f.number for f in done]
    figure, axes = new_figure()
    # Over trial numbers the best so far is that of the numbers up to there, not of the clock.
    order = sorted(range(len(done)), key=lambda i: x[i])
    best, steps = math.inf, []
    for i in order:
        best = min(best, done[i].score)
        steps.append(best)
    axes.plot(x, [f.score for f in done], "o", color=COLOUR["complete"], ms=5, alpha=0.55)
    axes.step([x[i] for i in order], steps, where="post", color=COLOUR["best"], lw=2.2)
    winner = min(order, key=lambda i: done[i].score)
    axes.plot(x[winner], done[winner].score, "o", color=COLOUR["best"], ms=8)
    axes.set_xlabel(f"{unit} since the search began" if by_time else "trial number")
    axes.set_ylabel(f"{by.words} (lower is better)")
    if by_time:
        axes.set_xlim(0, 1.04 * max(x) or 1)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))
    low, high = set_score_axis(axes, [f.score for f in done])
    mark_reference(axes, low, high, show_reference)
    kind = "time" if by_time else "trials"
    label = f"Best {by.words} so far over {kind}, ending at {show_fixed(steps[-1], 4)}"
    return to_svg(figure, f"progress-{kind}", label)


def draw_curves(
    records: Sequence[TrialRecord],
    rungs: Sequence[int],
    best: int | None,
    show_reference: bool,
    by: Yardstick,
) -> Markup | None:
    """Draw every trial's score after each epoch, and how it ended; ``best`` is drawn on top."""
    drawn = [r for r in records if any(math.isfinite(s) for s in curve(r, by.metric)[1])]
    if not drawn:
        return None
    figure, axes = new_figure(height=340)
    for rung in rungs:
        axes.axvline(rung, color=COLOUR["muted"], lw=0.8, ls=(0, (1, 3)))
    tooltips = {}
    faint = 0.6 if len(drawn) < 50 else 0.35
    # Trials that ran on lie over those that were stopped.
    for record in sorted(drawn, key=lambda r: (r.number == best, r.state == "COMPLETE")):
        epochs, scores = curve(record, by.metric)
        is_best = record.number == best
        colour = COLOUR["best"] if is_best else _STATE_COLOUR[record.state]
        gid = f"trial{record.number}"
        axes.plot(
            epochs, scores, color=colour, lw=2.4 if is_best else 1.1,
            alpha=1 if is_best else faint, mew=1.6, gid=gid,
            ls="--" if record.state == "RUNNING" else "-", ms=7 if is_best else 6,
            marker=_END_MARKER[record.state], markevery=[len(epochs) - 1],
        )  # fmt: skip
        tooltips[gid] = (
            f"trial {record.number}, {STATES[record.state]} after epoch {epochs[-1]}, "
            f"{by.words} {show_fixed(scores[-1], 4)}"
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.set_xlim(left=0.5)
    axes.set_xlabel("epoch (dotted: rungs)" if rungs else "epoch")
    axes.set_ylabel(f"{by.words} after the epoch (log)")
    low, high = set_score_axis(axes, [s for r in drawn for s in curve(r, by.metric)[1]], clip=True)
    mark_reference(axes, low, high, show_reference)
    label = (
        f"{by.title} after each epoch of {len(drawn)} trials; each curve's end shows how it ended"
    )
    return to_svg(figure, "curves", label, tooltips)


def draw_rung(rung: Rung, last_epoch: int, by: Yardstick) -> Markup | None:
    """Draw the survivors' scores at one rung against those at the end, if three have both."""
    pairs = rung.end.pairs
    if len(pairs) < 3:
        return None
    figure, axes = new_figure(SMALL_WIDTH, 230)
    here, end = zip(*pairs, strict=True)
    axes.plot(here, end, "o", color=COLOUR["complete"], ms=6, alpha=0.7)
    best = min(pairs, key=lambda pair: pair[1])
    axes.plot(*best, "o", color=COLOUR["best"], ms=8)
    axes.set_xlabel(f"{by.words} after epoch {rung.epoch}")
    axes.set_ylabel(f"after epoch {last_epoch}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(0.1)
    axes.set_title(f"ρ = {show_fixed(rung.end.correlation, 2)}, {len(pairs)} trials")
    label = f"{by.title} after epoch {rung.epoch} against the end"
    return to_svg(figure, f"rung-{rung.epoch}", label)


def draw_losses(best: TrialRecord) -> list[Markup]:
    """Draw the best trial's training losses beside what validation says of the same task."""
    tasks = [
        ("gender", "train_gender_loss", "gender_log_loss", "cross-entropy"),
        ("age", "train_age_loss", "age_mae", "loss, MAE"),
    ]
    drawings = []
    for task, train, validation, unit in tasks:
        epochs, losses = curve(best, train)
        _, checks = curve(best, validation)
        if not any(map(math.isfinite, losses)) or not any(map(math.isfinite, checks)):
            continue
        figure, axes = new_figure(height=250)
        if task == "age":  # the two have different units, so each starts from 1
            losses, checks = _relative(losses), _relative(checks)
            unit += " (first epoch = 1)"
        axes.plot(epochs, losses, "o--", color=COLOUR["complete"], ms=4, lw=1.6, label="training")
        axes.plot(epochs, checks, "o-", color=COLOUR["best"], ms=4, lw=2.2, label="validation")
        axes.set_title(task.capitalize())
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.legend()
        label = f"{task.capitalize()}: training and validation loss of trial {best.number} by epoch"
        drawings.append(to_svg(figure, f"losses-{task}", label))
    return drawings


def _relative(values: Sequence[float]) -> list[float]:
    first = next((v for v in values if math.isfinite(v) and v != 0), 1.0)
    return [value / first for value in values]
