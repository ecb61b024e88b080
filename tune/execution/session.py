"""One run of a driver: hands out trials, takes what they report, tells those who watch."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from optuna.trial import TrialState

from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import DIVERGED, FAILURE, METRICS, Callback
from tune.records.trials import TrialRecord, rank_complete
from tune.study.study import SearchStudy

#: A search whose first trials all fail before their first epoch is wrong as a whole; so is one
#: that fails as often as it was asked for trials.
MAX_FAILURES_AT_START = 3


class SearchSession:
    """One run of a search's driver: what has been asked of it and how it stands.

    ``num_trials`` counts all trials of the study that have a result, also those of earlier
    sessions; one that failed says nothing, and another takes its place where trials are suggested
    and not given. Of complete trials those checkpoints are kept that ``keep`` chooses of all
    records, by default the best one's.
    """

    def __init__(
        self,
        study: SearchStudy,
        num_trials: int,
        callbacks: Sequence[Callback],
        checkpoints: CheckpointStore,
        *,
        replace_failed: bool = True,
        keep: Callable[[Sequence[TrialRecord]], Sequence[TrialRecord]] | None = None,
    ) -> None:
        self._keep = keep or (lambda records: rank_complete(records, study.objectives)[:1])
        self._replace_failed = replace_failed
        self.study, self.num_trials, self.callbacks = study, num_trials, callbacks
        self.checkpoints = checkpoints
        self.stop_requested = threading.Event()  # Ctrl-C, the time budget, or hopeless
        self.interrupted = False  # by Ctrl-C or SIGTERM
        self.first_failure: str | None = None
        self.hopeless = False  # so many trials failed that the search as a whole must be wrong
        records = study.records()
        self._num_failures, self._any_epoch = 0, any(r.epochs for r in records)
        self._failed = {r.number for r in records if r.state == "FAIL"}  # in all sessions
        self._untold: set[int] = set()  # begun before the first failure, nothing heard of yet

    @property
    def has_more(self) -> bool:
        """Whether there is a trial to begin or to go on with."""
        num_replaced = self.study.num_failed() if self._replace_failed else 0
        with_result = self.study.num_started() - num_replaced
        return self.study.num_unfinished() > 0 or with_result < self.num_trials

    @property
    def is_over(self) -> bool:
        """Whether all trials have ended, or so many failed that no resume brings more."""
        num_failed = 0 if self._replace_failed else self.study.num_failed()
        return self.hopeless or self.study.num_results() + num_failed >= self.num_trials

    def next_config(self) -> dict[str, Any] | None:
        """Return the next trial's Ray configuration, or None when the search has had them all."""
        if not self.has_more or self.stop_requested.is_set():
            return None
        assignment = self.study.next_trial()
        for record in self.study.records():  # suggestions that failed on the way
            if record.state == "FAIL" and record.number not in self._failed:
                self._count_failure(record.number, record.reason or "")
        if assignment is None:
            if self.has_more:
                self._give_up()
            return None
        if not self._num_failures:
            self._untold.add(assignment.number)
        for callback in self.callbacks:
            callback.trial_started(assignment.number, assignment.config, assignment.epochs_done)
        return {"number": assignment.number, "train": assignment.config, "rows": assignment.rows}

    def take_result(self, number: int, result: dict[str, Any]) -> bool:
        """Record one epoch or failure; return whether the trial goes on."""
        if FAILURE in result:
            self.take_failure(number, result[FAILURE])
            return False
        if DIVERGED in result:
            self.study.diverge(number, result[DIVERGED])
            self._untold.discard(number)
            self._ended(number)
            return False
        metrics = result[METRICS]
        self._any_epoch = True
        state = self.study.report(number, metrics)
        for callback in self.callbacks:
            callback.epoch_finished(number, metrics)
        if state != TrialState.RUNNING:
            self._ended(number)
        return state == TrialState.RUNNING

    def take_failure(self, number: int, reason: str) -> None:
        """Record that a trial failed; ask the search to stop where all of the first did."""
        self.study.fail(number, reason)
        self._count_failure(number, reason)

    def take_retry(self, number: int, reason: str) -> None:
        """Say that a trial's machine failed it, and that it is tried again."""
        for callback in self.callbacks:
            callback.trial_retried(number, reason)

    def tidy(self, records: Sequence[TrialRecord]) -> None:
        """Keep no checkpoints but of unfinished trials and the chosen, so that few are there.

        The predictions of complete trials are small and stay.
        """
        unfinished = {record.number for record in records if record.state == "RUNNING"}
        complete = {record.number for record in rank_complete(records, self.study.objectives)}
        chosen = complete & {record.number for record in self._keep(records)}
        with contextlib.suppress(OSError):  # the next trial's end is another chance
            self.checkpoints.keep_only(unfinished | chosen, unfinished | complete)

    def _count_failure(self, number: int, reason: str) -> None:
        self._num_failures += 1
        self._failed.add(number)
        self._untold.discard(number)
        self.first_failure = self.first_failure or reason
        # One that is still at its first epoch may yet show that not all is wrong.
        all_failed = not self._any_epoch and not self._untold
        at_most = MAX_FAILURES_AT_START if all_failed else self.num_trials
        if self._num_failures >= max(MAX_FAILURES_AT_START, at_most):
            self._give_up()
        self._ended(number)

    def _give_up(self) -> None:
        self.hopeless = True
        self.stop_requested.set()

    def _ended(self, number: int) -> None:
        records = self.study.records()
        self.tidy(records)
        ended = next(record for record in records if record.number == number)
        for callback in self.callbacks:
            callback.trial_ended(ended)


@contextmanager
def interruptible(session: SearchSession, time_budget_s: float | None) -> Iterator[None]:
    """End the search in order at Ctrl-C, at SIGTERM, or when its time is up.

    A second Ctrl-C is the usual KeyboardInterrupt; nothing on record is lost by it either.
    """

    def request_stop(number: int, frame: Any) -> None:
        session.interrupted = True
        session.stop_requested.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = {
        number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    timer = threading.Timer(time_budget_s or 0, session.stop_requested.set)
    timer.daemon = True
    if time_budget_s:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)
