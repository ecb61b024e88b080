"""What a trial reports to the driver, and what the driver tells those who watch."""

from pathlib import Path
from typing import Any

from tune.records.search import Confirmation
from tune.records.trials import TrialRecord

#: The kinds of result: an epoch's metrics; that the trial diverged; why it cannot go on; why
#: nothing can, as its checkpoint could not be written.
METRICS, DIVERGED, FAILURE, UNSAVED = "metrics", "diverged", "failure", "unsaved"


class Callback:
    """Base class of everything that watches a search; each method does nothing unless overridden.

    All calls come from the search's own thread, so a method must return quickly, and a callback
    deals with its own failures: a search never ends because somebody could not watch it.
    """

    def search_started(self, search: dict[str, Any]) -> None:
        """Take note of what was asked; ``search`` is the content of ``search.json``."""

    def trial_started(self, number: int, config: dict[str, Any], epochs_done: int) -> None:
        """Take note of a trial that starts, or goes on after ``epochs_done`` epochs."""

    def epoch_finished(self, number: int, metrics: dict[str, Any]) -> None:
        """Take note of one epoch's metrics."""

    def trial_retried(self, number: int, reason: str) -> None:
        """Take note that a trial's machine failed it, and that it is tried again."""

    def trial_ended(self, record: TrialRecord) -> None:
        """Take note of how a trial ended."""

    def search_confirmed(self, confirmation: Confirmation) -> None:
        """Take note of what training the best trials again has shown."""

    def search_ended(self, records: list[TrialRecord], report: Path | None) -> None:
        """Take note of the end; ``report`` is the HTML file, where one was written."""
