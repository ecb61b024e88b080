"""What is known of a search while it runs: who is running, how others ended, how long is left.

Plain bookkeeping without any drawing; `tune.console.screen` shows it.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import InitVar, dataclass, field

from tune.records.trials import TrialRecord, rank_complete, split_differing
from tune.spaces.objectives import SCORE, Metrics, Settings


@dataclass
class RunningTrial:
    """A trial in progress and what its last finished epoch measured."""

    number: int
    config: Settings
    epochs_done: int
    metrics: Metrics = field(default_factory=dict)  # empty before its first epoch


@dataclass(kw_only=True)
class Progress:
    """The state of a search: running and ended trials, the best so far, the time left.

    ``earlier`` are trials that ended before this process began (a resumed search): they count,
    but not towards its speed. ``clock`` returns seconds.
    """

    num_trials: int
    max_epochs: int
    time_budget_s: float | None = None
    objectives: tuple[str, ...] = SCORE
    earlier: InitVar[Iterable[TrialRecord]] = ()
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self, earlier: Iterable[TrialRecord]) -> None:
        self.running: dict[int, RunningTrial] = {}
        self.ended: dict[int, TrialRecord] = {record.number: record for record in earlier}
        self._began_s = self.clock()
        self._first_start_s: float | None = None  # the speed is counted from here
        self._num_epochs = 0  # finished since then, over all trials

    def start_trial(self, number: int, config: Settings, epochs_done: int) -> None:
        """Note that a trial starts, or goes on after ``epochs_done`` epochs."""
        if self._first_start_s is None:
            self._first_start_s = self.clock()
        self.running[number] = RunningTrial(number, config, epochs_done)

    def finish_epoch(self, number: int, metrics: Metrics) -> None:
        """Note one epoch's metrics."""
        self._num_epochs += 1
        if trial := self.running.get(number):
            trial.epochs_done = int(metrics.get("epoch", trial.epochs_done + 1))
            trial.metrics = metrics

    def end_trial(self, record: TrialRecord) -> None:
        """Note how a trial ended; told twice, it counts once."""
        self.running.pop(record.number, None)
        self.ended[record.number] = record

    @property
    def num_results(self) -> int:
        """How many trials ended and did not fail: another takes the place of one that did."""
        return sum(record.state != "FAIL" for record in self.ended.values())

    @property
    def elapsed_s(self) -> float:
        """Seconds since this object was made."""
        return self.clock() - self._began_s

    @property
    def best(self) -> TrialRecord | None:
        """The best of the trials that had the full budget: no other score can be compared."""
        return next(iter(rank_complete(list(self.ended.values()), self.objectives)), None)

    def differing(self) -> list[str]:
        """Names of the hyperparameters that are not the same in all trials seen so far."""
        trials: list[TrialRecord | RunningTrial] = [*self.ended.values(), *self.running.values()]
        # One that failed while it was suggested has no configuration.
        return list(split_differing([trial.config for trial in trials if trial.config])[0])

    def time_left_s(self) -> float | None:
        """Estimate the seconds left, or None while nothing can be said.

        The epochs still to come over the epochs per second of this process so far, within the
        time budget if there is one. A trial not yet started is expected to last as long as the
        mean ended one; a running one, as long as the mean of those that got further than it has.
        """
        if not self.ended or not self._num_epochs or self._first_start_s is None:
            return None
        lengths = [len(record.epochs) for record in self.ended.values()]
        num_waiting = max(0, self.num_trials - self.num_results - len(self.running))
        num_epochs_left = num_waiting * sum(lengths) / len(lengths)
        for trial in self.running.values():
            longer = [n for n in lengths if n > trial.epochs_done] or [self.max_epochs]
            num_epochs_left += sum(longer) / len(longer) - trial.epochs_done
        left_s = num_epochs_left * (self.clock() - self._first_start_s) / self._num_epochs
        if self.time_budget_s:
            left_s = min(left_s, self.time_budget_s - self.elapsed_s)
        return max(0.0, left_s)
