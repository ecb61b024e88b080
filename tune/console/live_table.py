"""The picture of a running search: a function from what is known to what rich draws."""

from collections.abc import Sequence

from rich import box
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune.console.lines import (
    DEMO_WARNING,
    count_line,
    ended_of,
    metric_cells,
    metric_headings,
    time_left_texts,
)
from tune.console.progress import Progress
from tune.records.trials import last_metrics
from tune.spaces.objectives import Settings
from utkface.evaluation.report.text import show, show_duration, show_fixed

_NUM_OTHER_LINES = 13  # of the picture, besides its rows of running trials
_NUMBERS_WIDTH = 47  # of the columns before the hyperparameters, with their gaps
_OBJECTIVE_WIDTH = 13  # of one more among them
_GAP = 2  # between two columns
_BAR_WIDTH = 24


def draw_search(
    progress: Progress, *, name: str, demo: bool, size: ConsoleDimensions
) -> RenderableType:
    """Return the picture of a search: a heading, the running trials, the best one, the counts.

    ``size`` is the terminal's: trials that do not fit are counted, hyperparameters left out.
    """
    heading = Text(name, style="bold", no_wrap=True, overflow="ellipsis")
    if demo:
        heading.append(f"\n{DEMO_WARNING}", style="yellow")
    return Group("", heading, _trial_table(progress, size), _footer(progress))


def _trial_table(progress: Progress, size: ConsoleDimensions) -> Table:
    """Return the running trials, one row each, and the best so far below them."""
    running = sorted(progress.running.values(), key=lambda trial: trial.number)
    shown = running[: max(1, size.height - _NUM_OTHER_LINES)]
    best = progress.best
    configs = [trial.config for trial in shown] + ([best.config] if best else [])
    num_more = len(metric_headings(progress.objectives)) - len(metric_headings())
    width = size.width - _NUMBERS_WIDTH - num_more * _OBJECTIVE_WIDTH
    names = _fitting_names(progress.differing(), configs, width)

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("trial", "epoch", *metric_headings(progress.objectives), "img/s"):
        table.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    for name in names:
        table.add_column(_heading(name), vertical="bottom")
    for trial in shown:
        epochs = f"{trial.epochs_done}/{progress.max_epochs}"
        speed = show_fixed(trial.metrics.get("images_per_s"), 0)
        settings = [f"[cyan]{show(trial.config.get(name))}" for name in names]
        cells = metric_cells(trial.metrics, progress.objectives)
        table.add_row(str(trial.number), epochs, *cells, speed, *settings)
    if len(running) > len(shown):
        table.add_row(f"+{len(running) - len(shown)} more", style="dim")
    if best:
        table.add_section()
        epochs = f"{len(best.epochs)}/{progress.max_epochs}"
        settings = [show(best.config.get(name)) for name in names]
        cells = [epochs, *metric_cells(last_metrics(best), progress.objectives), "", *settings]
        table.add_row(f"best: {best.number}", *cells, style="green")
    return table


def _fitting_names(names: Sequence[str], configs: Sequence[Settings], width: int) -> list[str]:
    """Return as many of the hyperparameters, in their order, as fit into ``width`` characters."""
    fitting = []
    for name in names:
        words = [*_heading(name).split(), *(show(config.get(name)) for config in configs)]
        width -= max(map(len, words)) + _GAP
        if width < 0:
            break
        fitting.append(name)
    return fitting


def _heading(name: str) -> str:
    """Return a name that breaks into lines, so that its column needs no more than a word."""
    return name.replace("_", " ")


def _footer(progress: Progress) -> RenderableType:
    """Return how many trials ended and how, the time taken and the time left."""
    lines: list[RenderableType] = [ended_of(progress)]
    if progress.ended:
        lines.append(count_line(progress.ended.values()))
    if progress.ended and progress.best is None:
        lines.append(Text("none has run all its epochs yet, so none is the best", style="dim"))
    times = [f"{show_duration(progress.elapsed_s)} so far", *time_left_texts(progress)]
    lines.append(Text(", ".join(times), style="dim"))
    total, num_results = progress.num_trials, progress.num_results
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_row(ProgressBar(total=total, completed=num_results, width=_BAR_WIDTH), Group(*lines))
    return row
