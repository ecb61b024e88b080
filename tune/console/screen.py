"""The search on screen: a calm live table in a terminal, a few plain lines anywhere else.

Drawn with rich (https://rich.readthedocs.io), which keeps the table below whatever else is printed.
"""

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from tune.console import lines
from tune.console.live_table import draw_search
from tune.console.progress import Progress
from tune.execution.reporting import Callback, RunStart
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.spaces.objectives import Metrics, Settings

_STATUS_INTERVAL_S = 60.0  # between two plain status lines


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
        name, is_demo = self._search.name, self._search.data.is_demo
        with self._lock:
            return draw_search(self._progress, name=name, demo=is_demo, size=self._console.size)

    def _stop_table(self) -> None:
        """Take the table off the terminal's hands and give the cursor back."""
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
