"""The command: read the searches, write the page, print the table."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tune.compare.page import write_comparison
from tune.compare.runs import Compared, leader, line_up, remarks, warnings
from tune.past_runs import read_run
from tune.report.analysis import last_metrics
from tune.wording import metric_cells, metric_headings
from utkface.evaluation.report.text import show_duration
from utkface.io import UserError

_TABLE_WIDTH = 120  # at least: a line that is broken by the terminal can still be read
_MAX_NAMES = 3  # of runs in the name of a page


def compare(results: Path, names: Sequence[str], output: Path | None) -> int:
    """Compare searches, given by name or path; return exit status 0.

    Raises `UserError` for fewer than two, for one that is named twice or cannot be read, and where
    the page cannot be written.
    """
    if len(names) < 2:
        raise UserError(f"--compare {names[0]} names one search; give two or more")
    runs = [read_run(results, name) for name in names]
    for name, count in Counter(run.name for run in runs).items():
        if count > 1:
            raise UserError(f"--compare names {name} twice; give each search once")
    compared = line_up(runs)
    console = Console(highlight=False, soft_wrap=True, width=max(Console().width, _TABLE_WIDTH))
    console.print(_table(compared))
    for line in [*warnings(compared), *remarks(compared)]:
        console.print(f"note: {line}", markup=False)
    if (winner := leader(compared)) and winner.best:
        score = metric_cells(last_metrics(winner.best))[0]
        console.print(f"lowest score: {score}, trial {winner.best.number} of {winner.run.name}")
    path = output or results / _file_name([run.name for run in runs])
    console.print(f"page: {write_comparison(compared, path)}", markup=False)
    return 0


def _table(compared: Sequence[Compared]) -> Table:
    table = Table(box=None)
    names = ["search", "trials", "complete", "epochs", "best", *metric_headings(), "wall time"]
    for name in ["", *names]:
        table.add_column(name, no_wrap=True, justify="left" if name == "search" else "right")
    for each in compared:
        best = each.best
        table.add_row(
            each.letter,
            each.run.name,
            str(len(each.run.records)),
            str(each.counts["COMPLETE"]),
            str(each.num_epochs),
            f"trial {best.number}" if best else "–",
            *metric_cells(last_metrics(best) if best else {}),
            show_duration(each.run.search.get("wall_s")),
        )
    return table


def _file_name(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    parts = [*names[:_MAX_NAMES], *([f"and-{more}-more"] if more > 0 else [])]
    return f"compare-{'-'.join(parts)}.html"
