"""What a trial reports to the driver, and what the driver tells those who watch."""

from dataclasses import dataclass
from pathlib import Path

from tune.records.retrain import RetrainRecord
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.spaces.objectives import Metrics, Settings

#: The kinds of result: an epoch's metrics; that the trial diverged; why it cannot go on; why
#: nothing can, as its checkpoint could not be written.
METRICS, DIVERGED, FAILURE, UNSAVED = "metrics", "diverged", "failure", "unsaved"


@dataclass(frozen=True)
class RunStart:
    """A run that begins or goes on: its record, and where to watch it."""

    record: SearchRecord | RetrainRecord
    folder: Path
    dashboard: str | None = None  # its URL
    wandb_line: str | None = None  # on how W&B is used, where that was not asked for


class Callback:
    """Base class of everything that watches a search; each method does nothing unless overridden.

    All calls come from the search's own thread, so a method must return quickly, and a callback
    deals with its own failures: a search never ends because somebody could not watch it.
    """

    def search_started(self, start: RunStart) -> None:
        """Take note of what was asked."""

    def trial_started(self, number: int, config: Settings, epochs_done: int) -> None:
        """Take note of a trial that starts, or goes on after ``epochs_done`` epochs."""

    def epoch_finished(self, number: int, metrics: Metrics) -> None:
        """Take note of one epoch's metrics."""

    def trial_retried(self, number: int, reason: str) -> None:
        """Take note that a trial's machine failed it, and that it is tried again."""

    def trial_ended(self, record: TrialRecord) -> None:
        """Take note of how a trial ended."""

    def search_ended(self, records: list[TrialRecord], report: Path | None) -> None:
        """Take note of the end; ``report`` is the HTML file, where one was written."""
