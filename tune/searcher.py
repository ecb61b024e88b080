"""Where Ray Tune meets the study: a Ray Searcher that hands out trials, a scheduler that ends them.

Both are thin: `tune.study.SearchStudy` decides, the observers are told, Ray runs. This is the only
place where the three meet. Stock `OptunaSearch` was not used because it reports trials that were
stopped early as COMPLETE, never ends one whose metric is NaN, and cannot go on after a crash.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

from optuna.trial import TrialState
from ray.tune import Stopper
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.utils.util import unflatten_dict

from tune.checkpoints import CheckpointStore
from tune.observer import Observer
from tune.records import TrialRecord, rank_complete
from tune.study import Assignment, SearchStudy
from tune.trainable import DIVERGED, FAILURE, METRICS, UNSAVED
from utkface.io import UserError

#: A search whose first trials all fail before their first epoch is wrong as a whole; so is one
#: that fails as often as it was asked for trials.
MAX_FAILURES_AT_START = 3
#: A trial that its machine failed is tried so many times more, each time in a fresh worker.
MAX_RETRIES = 2


class SearchSession:
    """One run of a search's driver: what has been asked of it and how it stands.

    ``num_trials`` counts all trials of the study that have a result, also those of earlier
    sessions; one that failed says nothing, and another takes its place where trials are suggested
    and not given. Checkpoints of the ``num_best`` best trials are kept.
    """

    def __init__(
        self,
        study: SearchStudy,
        num_trials: int,
        observers: Sequence[Observer],
        checkpoints: CheckpointStore,
        *,
        replace_failed: bool = True,
        num_best: int = 1,
    ) -> None:
        self.num_best = num_best
        self._replace_failed = replace_failed
        self.study, self.num_trials, self.observers = study, num_trials, observers
        self.checkpoints = checkpoints
        self.stop_requested = threading.Event()  # Ctrl-C, the time budget, or hopeless
        self.interrupted = False  # by Ctrl-C or SIGTERM
        self.first_failure: str | None = None
        self.hopeless = False  # so many trials failed that the search as a whole must be wrong
        self._num_failures, self._any_epoch = 0, any(r.epochs for r in study.records())

    @property
    def has_more(self) -> bool:
        """Whether there is a trial to begin or to go on with."""
        num_replaced = self.study.num_failed() if self._replace_failed else 0
        with_result = self.study.num_started() - num_replaced
        return self.study.num_unfinished() > 0 or with_result < self.num_trials

    def next_config(self) -> dict[str, Any] | None:
        """Return the next trial's Ray configuration, or None when the search has had them all."""
        if not self.has_more or self.stop_requested.is_set():
            return None
        assignment = self._next_assignment()
        if assignment is None:
            return None
        for observer in self.observers:
            observer.trial_started(assignment.number, assignment.config, assignment.epochs_done)
        return {"number": assignment.number, "train": assignment.config, "rows": assignment.rows}

    def take_result(self, number: int, result: dict[str, Any]) -> bool:
        """Record one epoch or failure; return whether the trial goes on."""
        if FAILURE in result:
            self.take_failure(number, result[FAILURE])
            return False
        if DIVERGED in result:
            self.study.diverge(number, result[DIVERGED])
            self._ended(number)
            return False
        metrics = result[METRICS]
        self._any_epoch = True
        state = self.study.report(number, metrics)
        for observer in self.observers:
            observer.epoch_finished(number, metrics)
        if state != TrialState.RUNNING:
            self._ended(number)
        return state == TrialState.RUNNING

    def take_failure(self, number: int, reason: str) -> None:
        """Record that a trial failed; ask the search to stop where all of the first did."""
        self.study.fail(number, reason)
        self._count_failure(number, reason)

    def take_retry(self, number: int, reason: str) -> None:
        """Say that a trial's machine failed it, and that it is tried again."""
        for observer in self.observers:
            observer.trial_retried(number, reason)

    def tidy(self, records: Sequence[TrialRecord]) -> None:
        """Keep no checkpoints but of unfinished trials and the best few, so that few are there.

        One of those may be confirmed as the best. The predictions of complete trials are small and
        stay.
        """
        unfinished = {record.number for record in records if record.state == "RUNNING"}
        complete = [record.number for record in rank_complete(records, self.study.objectives)]
        with contextlib.suppress(OSError):  # the next trial's end is another chance
            best = complete[: self.num_best]
            self.checkpoints.keep_only(unfinished | {*best}, unfinished | {*complete})

    def _next_assignment(self) -> Assignment | None:
        """Return the next trial; suggestions that failed on the way count as failed trials."""
        failed_before = self.study.num_failed()
        assignment = self.study.next_trial()
        if self.study.num_failed() > failed_before:
            failed = [r for r in self.study.records() if r.state == "FAIL"][failed_before:]
            for record in failed:
                self._count_failure(record.number, record.reason or "")
        if assignment is None:
            self._give_up()
        return assignment

    def _count_failure(self, number: int, reason: str) -> None:
        self._num_failures += 1
        self.first_failure = self.first_failure or reason
        at_most = self.num_trials if self._any_epoch else MAX_FAILURES_AT_START
        if self._num_failures >= max(MAX_FAILURES_AT_START, at_most):
            self._give_up()
        self._ended(number)

    def _give_up(self) -> None:
        self.hopeless = True
        self.stop_requested.set()

    def _ended(self, number: int) -> None:
        """Clean up and tell the observers."""
        records = self.study.records()
        self.tidy(records)
        ended = next(record for record in records if record.number == number)
        for observer in self.observers:
            observer.trial_ended(ended)


class _OfSession:
    """Keeps the session out of the pickles that Ray makes of what it is given.

    They serve `Tuner.restore`, which this project does without, and hold no live study.
    """

    _session: SearchSession

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_session"}


class StudySearcher(_OfSession, Searcher):
    """Hands Ray the configurations that the study suggests."""

    def __init__(self, session: SearchSession) -> None:
        super().__init__()  # no metric: Ray would refuse a failed trial's result for lacking it
        self._session = session

    def suggest(  # type: ignore[override]  # Ray leaves out its own FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str:
        """Return the next configuration, or `Searcher.FINISHED`."""
        config = self._session.next_config()
        return Searcher.FINISHED if config is None else config

    def on_trial_complete(
        self, trial_id: str, result: dict | None = None, error: bool = False
    ) -> None:
        """Take note of the end: those that are results, and failures, the scheduler records."""

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the study is on disk already."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a search goes on from its study, with a new Tuner."""
        raise NotImplementedError("a search is resumed from its study, not by Tuner.restore")

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Write nothing: the study is on disk already."""


class StudyScheduler(_OfSession, FIFOScheduler):
    """Stops a trial when the study says that it has ended."""

    def __init__(self, session: SearchSession) -> None:
        super().__init__()
        self._session = session

    @property
    def supports_buffered_results(self) -> bool:
        """Each epoch is judged, and on record, before the next one begins."""
        return False

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Record a trial that its machine failed once too often; before, Ray tries it again."""
        error = trial.get_pickled_error()
        reason = describe_machine_failure(error)
        if trial.num_failures > MAX_RETRIES:
            times = f"failed {trial.num_failures} times, each in a fresh worker; the last: "
            self._session.take_failure(trial.config["number"], times + reason)
        else:
            self._session.take_retry(trial.config["number"], reason)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        """Record the epoch and pass on the study's decision."""
        result = unflatten_dict(result)
        if UNSAVED in result:
            raise UserError(result[UNSAVED])
        if self._session.take_result(trial.config["number"], result):
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP


class SessionStopper(_OfSession, Stopper):
    """Ends the experiment when the session was asked to stop."""

    def __init__(self, session: SearchSession) -> None:
        self._session = session

    def __call__(self, trial_id: str, result: dict) -> bool:
        """Stop no single trial: that is the scheduler's part."""
        return False

    def stop_all(self) -> bool:
        """Say whether Ctrl-C, the time budget or repeated failures ended the search."""
        return self._session.stop_requested.is_set()


def describe_machine_failure(error: BaseException | None) -> str:
    """Return one line on why a trial's worker was given up, with a hint where there is one."""
    cause = getattr(error, "cause", None) or error
    if cause is None:
        return "its worker was lost; Ray's logs say why"
    hint = ""
    if type(cause).__name__ == "OutOfMemoryError":
        hint = "; fewer trials per GPU (--gpus-per-trial) or a smaller batch_size would fit"
    first_line = next(filter(None, map(str.strip, str(cause).splitlines())), "")
    return f"{type(cause).__name__}: {first_line}{hint}"
