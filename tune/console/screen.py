"""The search on screen: a calm live table in a terminal, a few plain lines anywhere else.

Drawn with rich (https://rich.readthedocs.io), which keeps the table below whatever else is printed.
"""

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune.console import lines
from tune.console.progress import Progress
from tune.execution.reporting import Callback, RunStart
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord, last_metrics
from tune.spaces.objectives import Metrics, Settings
from utkface.evaluation.report.text import show, show_duration, show_fixed

_STATUS_INTERVAL_S = 60.0  # between two plain status lines
_NUM_OTHER_LINES = 13  # of the table in a terminal, besides its rows of running trials
_NUMBERS_WIDTH = 47  # of the columns before the hyperparameters, with their gaps
_OBJECTIVE_WIDTH = 13  # of one more among them
_GAP = 2  # between two columns
_BAR_WIDTH = 24


def _harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Make a method give up the screen rather than end the search that it shows."""

    @functools.wraps(method)
    def guarded(self: "Screen", *args: Any) -> None:
        if self._gave_up:
            return
        try:
            method(self, *args)
        except Exception as error:
            self._give_up(error)

    return guarded


class Screen(Callback, AbstractContextManager["Screen", None]):
    """Shows a search while it runs and sums it up at the end; use it as a context manager.

    ``start`` is what the search begins with; ``earlier`` are the trials that ended before a resumed
    search was interrupted. Without a terminal it prints one line per ended trial and at most one
    line a minute between them.
    """

    def __init__(
        self,
        start: RunStart,
        console: Console | None = None,
        *,
        earlier: Iterable[TrialRecord] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Decided here, since rich also takes FORCE_COLOR, common in CI, for a terminal.
        self._console = console or Console(force_terminal=sys.stdout.isatty())
        self._clock = clock
        assert isinstance(start.record, SearchRecord), "a retraining has a screen of its own"
        self._start, self._search = start, start.record
        self._earlier_s = self._search.wall_s  # the record goes on counting
        self._progress = Progress(
            num_trials=self._search.options.num_trials,
            max_epochs=self._search.options.max_epochs,
            time_budget_s=self._search.options.time_budget,
            objectives=self._search.options.objectives,
            earlier=earlier,
            clock=clock,
        )
        self._live: Live | None = None
        # Guards the progress against the thread that redraws the table. Never held while
        # printing: rich redraws under a lock of its own, and the two could wait for each other.
        self._lock = threading.Lock()
        self._last_line_s = clock()
        self._gave_up = False

    def __exit__(self, *error: object) -> None:
        """Leave the terminal sane, the last table standing, whatever happened."""
        self._stop_table()

    @_harmless
    def say(self, line: str) -> None:
        """Print one line, above the table where there is one; any thread may call it."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._last_line_s = self._clock()

    @_harmless
    def search_started(self, start: RunStart) -> None:
        """Say what is searched and where to watch it, then show the table."""
        for line in lines.introduction(start, self._search):
            self.say(line)
        if self._console.is_terminal and self._console.is_interactive:
            self._live = Live(
                console=self._console, get_renderable=self._draw, refresh_per_second=1
            )
            self._live.start()
        elif self._search.data.is_demo:
            self.say(lines.DEMO_WARNING)

    @_harmless
    def trial_started(self, number: int, config: Settings, epochs_done: int) -> None:
        """Add the trial to the table."""
        with self._lock:
            self._progress.start_trial(number, config, epochs_done)

    @_harmless
    def epoch_finished(self, number: int, metrics: Metrics) -> None:
        """Update the trial's row; without a table, say where things stand now and then."""
        with self._lock:
            self._progress.finish_epoch(number, metrics)
        if self._live is None and self._clock() - self._last_line_s >= _STATUS_INTERVAL_S:
            self.say(lines.status_line(self._progress))

    @_harmless
    def trial_retried(self, number: int, reason: str) -> None:
        """Say that a trial is tried again, and why."""
        self.say(f"trial {number} is tried again in a fresh worker: {reason}")

    @_harmless
    def trial_ended(self, record: TrialRecord) -> None:
        """Count the trial; say how it ended if it failed, or if there is no table to show it."""
        with self._lock:
            self._progress.end_trial(record)
        if self._live is None or record.state == "FAIL":
            self.say(lines.ending_line(record, self._progress))

    @_harmless
    def search_ended(self, records: list[TrialRecord], report: Path | None) -> None:
        """Put the summary in the place of the table."""
        if self._live is not None:
            self._live.transient = True
        self._stop_table()
        folder, times = self._start.folder, (self._progress.elapsed_s, self._earlier_s)
        for line in lines.summary(self._search, folder, records, report, *times):
            self.say(line)

    def _draw(self) -> RenderableType:
        """Return the table as of now; rich calls this once a second, from a thread of its own."""
        heading = Text(self._search.name, style="bold", no_wrap=True, overflow="ellipsis")
        if self._search.data.is_demo:
            heading.append(f"\n{lines.DEMO_WARNING}", style="yellow")
        with self._lock:
            table = _trial_table(self._progress, self._console.size)
            return Group("", heading, table, _footer(self._progress))

    def _stop_table(self) -> None:
        """Give the cursor back."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _give_up(self, error: Exception) -> None:
        """Go silent after saying so once, on the other stream: this one may be what failed."""
        self._gave_up = True
        try:
            self._stop_table()
        finally:
            print(f"the search goes on unseen: the screen failed with {error!r}", file=sys.stderr)


def _trial_table(progress: Progress, size: ConsoleDimensions) -> Table:
    """Return the running trials, one row each, and the best so far below them.

    Trials that do not fit into the terminal are counted, hyperparameters left out.
    """
    running = sorted(progress.running.values(), key=lambda trial: trial.number)
    shown = running[: max(1, size.height - _NUM_OTHER_LINES)]
    best = progress.best
    configs = [trial.config for trial in shown] + ([best.config] if best else [])
    num_more = len(lines.metric_headings(progress.objectives)) - len(lines.metric_headings())
    width = size.width - _NUMBERS_WIDTH - num_more * _OBJECTIVE_WIDTH
    names = _fitting_names(progress.differing(), configs, width)

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("trial", "epoch", *lines.metric_headings(progress.objectives), "img/s"):
        table.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    for name in names:
        table.add_column(name.replace("_", " "), vertical="bottom")
    for trial in shown:
        epochs = f"{trial.epochs_done}/{progress.max_epochs}"
        speed = show_fixed(trial.metrics.get("images_per_s"), 0)
        settings = [Text(show(trial.config.get(name)), style="cyan") for name in names]
        cells = lines.metric_cells(trial.metrics, progress.objectives)
        table.add_row(str(trial.number), epochs, *cells, speed, *settings)
    if len(running) > len(shown):
        table.add_row(f"+{len(running) - len(shown)} more", style="dim")
    if best:
        table.add_section()
        epochs = f"{len(best.epochs)}/{progress.max_epochs}"
        settings = [Text(show(best.config.get(name))) for name in names]
        cells = lines.metric_cells(last_metrics(best), progress.objectives)
        table.add_row(f"best: {best.number}", epochs, *cells, "", *settings, style="green")
    return table


def _fitting_names(names: Sequence[str], configs: Sequence[Settings], width: int) -> list[str]:
    """Return as many of the hyperparameters, in their order, as fit into ``width`` characters."""
    fitting = []
    for name in names:  # a heading breaks into lines, so that a column is no wider than a word
        words = [*name.split("_"), *(show(config.get(name)) for config in configs)]
        width -= max(map(len, words)) + _GAP
        if width < 0:
            break
        fitting.append(name)
    return fitting


def _footer(progress: Progress) -> RenderableType:
    """Return how many trials ended and how, the time taken and the time left."""
    said: list[RenderableType] = [lines.ended_of(progress)]
    if progress.ended:
        said.append(lines.count_line(progress.ended.values()))
        if progress.best is None:
            said.append(Text("none has run all its epochs yet, so none is the best", style="dim"))
    times = [f"{show_duration(progress.elapsed_s)} so far", *lines.time_left_texts(progress)]
    said.append(Text(", ".join(times), style="dim"))
    total, num_results = progress.num_trials, progress.num_results
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_row(ProgressBar(total=total, completed=num_results, width=_BAR_WIDTH), Group(*said))
    return row
