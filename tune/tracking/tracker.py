"""The observer that tells W&B of a search: one run per trial, and one that sums the search up."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune.checkpoints import CheckpointStore
from tune.observer import Observer
from tune.records import TrialRecord
from tune.tracking.background import CLOSE_TIMEOUT_S, BackgroundTasks
from tune.tracking.evaluation import log_evaluation
from tune.tracking.mode import sync_command
from tune.tracking.runs import RunOpener
from tune.tracking.summary import log_summary

SEARCH = "search"


@dataclass
class _OpenRun:
    """A W&B run that is being written and the first epoch that it does not have yet."""

    run: Any
    next_epoch: int


class WandbTracker(Observer):
    """Logs every trial to a W&B run of its own, from a background thread.

    Parameters: ``mode``, online or offline; the ``folder`` of the search, where wandb/ is made;
    ``say`` prints a line for the user and may be called from another thread; ``job_type`` is W&B's;
    ``run_name`` names a run by its trial's number; ``checkpoints`` has the best trial's model, for
    the summary run. `close` ends it; `search_ended` and `evaluation_ended` write a run
    that sums all up, and close it too.
    """

    def __init__(
        self,
        mode: str,
        folder: Path,
        *,
        say: Callable[[str], None] = print,
        job_type: str = SEARCH,
        run_name: Callable[[int], str] = "trial-{:03d}".format,
        checkpoints: CheckpointStore | None = None,
    ) -> None:
        self._mode, self._folder, self._say = mode, folder, say
        self._job_type, self._run_name, self._checkpoints = job_type, run_name, checkpoints
        self._search: dict[str, Any] = {}
        self._opener: RunOpener
        self._runs: dict[int, _OpenRun] = {}
        self._warned = False
        self._background = BackgroundTasks(say=say, warn=self._warn)

    # Called by the search: each leaves a task to the background thread and returns.

    def search_started(self, search: dict[str, Any]) -> None:
        """Start the background thread; its runs are grouped by ``group``, else by ``name``."""
        self._search = search
        self._opener = RunOpener(
            self._mode, self._folder, search, say=self._say, warn=self._warn
        )  # fmt: skip
        self._background.start()

    def trial_started(self, number: int, config: dict[str, Any], epochs_done: int) -> None:
        """Open the trial's run, or go on with it."""
        config = {**config, "trial": number}
        self._background.put(lambda: self._open(number, config, epochs_done))

    def epoch_finished(self, number: int, metrics: dict[str, Any]) -> None:
        """Log one epoch."""
        metrics = dict(metrics)
        self._background.put(lambda: self._log(number, metrics))

    def trial_ended(self, record: TrialRecord) -> None:
        """Finish the trial's run with its state."""
        self._background.put(lambda: self._finish(record))

    def search_ended(self, records: list[TrialRecord], report: Path | None) -> None:
        """Write the summary run, leave the runs of unfinished trials to be continued, and close."""
        opener, checkpoints = self._opener, self._checkpoints
        self._background.put(self._interrupt_all)
        self._background.put(
            lambda: log_summary(opener, self._search, records, report, checkpoints)
        )
        self.close()

    def evaluation_ended(self, evaluation: dict[str, Any]) -> None:
        """Write the run of an evaluation, the content of evaluation.json, and close."""
        opener = self._opener
        self._background.put(lambda: log_evaluation(opener, evaluation, self._folder))
        self.close()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what is left, for a bounded time; what is not sent by then stays in the folder."""
        self._background.put(self._interrupt_all)
        self._background.close(timeout_s)

    # Everything below runs in the background thread.

    def _open(self, number: int, config: dict[str, Any], epochs_done: int) -> None:
        if number in self._runs:  # its worker was lost: the same run goes on
            return
        run = self._opener.open(f"{number:03d}", self._run_name(number), self._job_type, config)
        # W&B may have seen epochs that came after the checkpoint from which a trial goes on.
        self._runs[number] = _OpenRun(run, next_epoch=max(epochs_done + 1, run.step))

    def _log(self, number: int, metrics: dict[str, Any]) -> None:
        trial = self._runs.get(number)
        epoch = metrics["epoch"]
        if trial is not None and epoch >= trial.next_epoch:
            # Without commit, W&B shows an epoch only when the next one comes.
            trial.run.log(metrics, step=epoch, commit=True)
            trial.next_epoch = epoch + 1

    def _finish(self, record: TrialRecord) -> None:
        trial = self._runs.pop(record.number, None)
        if trial is None:
            return
        ending = describe_ending(record, self._search.get("rungs") or [])
        trial.run.tags = (*self._opener.tags, *ending.split(": ")[:1])
        trial.run.summary.update({"state": record.state, "ending": ending, "score": record.score})
        trial.run.finish(exit_code=1 if record.state == "FAIL" else 0)

    def _interrupt_all(self) -> None:
        """Close runs so that W&B takes them for preempted, to be continued, not for finished."""
        while self._runs:
            _, trial = self._runs.popitem()
            trial.run.mark_preempting()
            trial.run.finish(exit_code=1)

    def _warn(self, problem: str) -> None:
        """Say once that W&B is in trouble; what follows from the same cause says nothing new."""
        if not self._warned:
            self._warned = True
            later = sync_command(self._folder, include_online=True)
            self._say(f"W&B: {problem}; the search goes on, and what W&B missed: {later}")


def describe_ending(record: TrialRecord, rungs: list[int]) -> str:
    """Return how a trial ended: complete, stopped at rung 3, stopped after epoch 2, failed: why."""
    if record.state == "FAIL":
        return f"failed: {record.reason or 'no reason given'}"
    if record.state == "PRUNED":
        epoch = record.epochs[-1]["epoch"] if record.epochs else 0
        return f"stopped {'at rung' if epoch in rungs else 'after epoch'} {epoch}"
    return "complete"
