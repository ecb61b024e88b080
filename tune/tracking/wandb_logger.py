"""Weights & Biases: one run per trial and one per search, all of a search in one group.

The search never waits for W&B and never fails with it. Every call to wandb happens in one
background thread; the search only leaves it tasks.
"""

import functools
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import Callback, RunStart
from tune.options import WANDB_MODES
from tune.records.retrain import RetrainRecord
from tune.records.run_folder import sync_command
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.spaces.objectives import Metrics, Settings
from tune.tracking.wandb_runs import RunOpener, log_evaluation, log_search, one_line
from utkface.io import UV_RUN, UserError

if TYPE_CHECKING:
    from utkface.evaluation.records import Evaluation


def resolve_mode(requested: str | None) -> tuple[str, str | None]:
    """Return how trials are to be logged, and a line that says so where it was not asked for.

    ``requested`` is online, offline, disabled or None: then the environment variable WANDB_MODE,
    else online if W&B knows a key of the user's, else offline. Raises `UserError` for another
    value, and for online without a usable key.
    """
    wanted = requested or os.environ.get("WANDB_MODE") or None
    if wanted not in (*WANDB_MODES, None):
        raise UserError(f"WANDB_MODE={wanted!r} is unknown; allowed: {', '.join(WANDB_MODES)}")
    if wanted in ("offline", "disabled"):
        return wanted, None
    problem = _key_problem()
    if problem is None:
        return "online", None
    if wanted == "online":
        raise UserError(
            f"W&B cannot be used online: {problem}; run {UV_RUN}wandb login, or use offline"
        )
    later = f"send them later: {UV_RUN}wandb login, then {UV_RUN}wandb sync <run folder>/wandb"
    return "offline", f"{problem}, so trials are recorded offline; {later}"


def _key_problem() -> str | None:
    """Return what is wrong with the user's W&B key, or None; asks neither network nor user."""
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True, mode="online"))
        # Looks at WANDB_API_KEY, netrc and W&B's own settings, in wandb's order.
        return None if wandb.login(prompt=False, verify=False) else "no API key was found"
    except Exception as error:  # a malformed key, or a defective settings file
        return one_line(error)


CLOSE_TIMEOUT_S = 60.0  # at the end of a search, for all that is left to send
_PATIENCE_S = 3.0  # of a user who is not told what is waited for

P = ParamSpec("P")


def _in_background(
    method: Callable[Concatenate["WandbLogger", P], None],
) -> Callable[Concatenate["WandbLogger", P], None]:
    """Leave each call of a method to the logger's thread, after all others, and return at once."""

    @functools.wraps(method)
    def put(self: "WandbLogger", *args: P.args, **kwargs: P.kwargs) -> None:
        self._tasks.put(lambda: method(self, *args, **kwargs))

    return put


@dataclass
class _OpenRun:
    """A W&B run that is being written and the first epoch that it does not have yet."""

    run: Any
    next_epoch: int


class WandbLogger(Callback):
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
        job_type: str = "search",
        run_name: Callable[[int], str] = "trial-{:03d}".format,
        checkpoints: CheckpointStore | None = None,
    ) -> None:
        self._mode, self._folder, self._say = mode, folder, say
        self._job_type, self._run_name, self._checkpoints = job_type, run_name, checkpoints
        self._record: SearchRecord | RetrainRecord
        self._opener: RunOpener
        self._runs: dict[int, _OpenRun] = {}
        self._warned = self._is_closed = False
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # A daemon, so that it never keeps the process from ending.
        self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)
        self._thread.start()

    def search_started(self, start: RunStart) -> None:
        """Take note of whose trials are logged; a retraining's runs join those of its search."""
        self._record = start.record
        self._opener = RunOpener(
            self._mode, self._folder, start.record, say=self._say, warn=self._warn
        )

    @_in_background
    def trial_started(self, number: int, config: Settings, epochs_done: int) -> None:
        """Open the trial's run, or go on with it."""
        if number in self._runs:  # its worker was lost: the same run goes on
            return
        config = config | {"trial": number}
        run = self._opener.open(f"{number:03d}", self._run_name(number), self._job_type, config)
        # W&B may have seen epochs that came after the checkpoint from which a trial goes on.
        self._runs[number] = _OpenRun(run, next_epoch=max(epochs_done + 1, run.step))

    @_in_background
    def epoch_finished(self, number: int, metrics: Metrics) -> None:
        """Log one epoch."""
        trial = self._runs.get(number)
        epoch = int(metrics["epoch"])
        if trial is not None and epoch >= trial.next_epoch:
            # Without commit, W&B shows an epoch only when the next one comes.
            trial.run.log(metrics, step=epoch, commit=True)
            trial.next_epoch = epoch + 1

    @_in_background
    def trial_ended(self, record: TrialRecord) -> None:
        """Finish the trial's run with its state."""
        trial = self._runs.pop(record.number, None)
        if trial is None:
            return
        rungs = self._record.rungs if isinstance(self._record, SearchRecord) else ()
        ending = ending_of(record, rungs)
        trial.run.tags = (*self._opener.tags, *ending.split(": ")[:1])
        trial.run.summary.update({"state": record.state, "ending": ending, "score": record.score})
        trial.run.finish(exit_code=1 if record.state == "FAIL" else 0)

    def search_ended(self, records: list[TrialRecord], report: Path | None) -> None:
        """Write the summary run, leave the runs of unfinished trials to be continued, and close."""
        self._interrupt_all()
        self._sum_up(records, report)
        self.close()

    def evaluation_ended(self, evaluation: "Evaluation") -> None:
        """Write the run of an evaluation, and close."""
        self._tasks.put(lambda: log_evaluation(self._opener, evaluation, self._folder))
        self.close()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what is left, for a bounded time; what is not sent by then stays in the folder.

        A second call does nothing.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._interrupt_all()
        self._tasks.put(None)
        self._thread.join(min(_PATIENCE_S, timeout_s))
        if self._thread.is_alive():
            self._say(f"waiting for W&B, for at most {timeout_s:.0f} s")
            self._thread.join(max(0.0, timeout_s - _PATIENCE_S))
        if self._thread.is_alive():
            self._warn(f"it is still busy after {timeout_s:.0f} s")

    def _work(self) -> None:
        while task := self._tasks.get():
            try:
                task()
            except Exception as error:  # one that fails is no reason to leave out the others
                self._warn(one_line(error))

    @_in_background
    def _sum_up(self, records: list[TrialRecord], report: Path | None) -> None:
        assert isinstance(self._record, SearchRecord), "an evaluation sums up a retraining"
        log_search(self._opener, self._record, records, report, self._checkpoints)

    @_in_background
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


def ending_of(record: TrialRecord, rungs: Sequence[int]) -> str:
    """Return how a trial ended: complete, stopped at rung 3, diverged: why, failed: why."""
    if record.diverged:
        return f"diverged: {record.reason}"
    if record.state == "FAIL":
        return f"failed: {record.reason or 'no reason given'}"
    if record.state == "PRUNED":
        epoch = record.epochs[-1]["epoch"] if record.epochs else 0
        return f"stopped {'at rung' if epoch in rungs else 'after epoch'} {epoch}"
    return "complete"
