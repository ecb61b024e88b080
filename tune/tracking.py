"""Weights & Biases: one run per trial, all runs of a search in one group.

The search never waits for W&B and never fails with it. Every call to wandb happens in one
background thread; the search only puts what happened into that thread's queue.
https://docs.wandb.ai/ref/python/init
"""

import functools
import hashlib
import os
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

from tune.observer import Observer
from tune.records import TrialRecord
from utkface.errors import UserError

DEFAULT_PROJECT = "utkface-tune"
MODES = ("online", "offline", "disabled")
_INIT_TIMEOUT_S = 30.0  # per run; what cannot be reached by then is recorded offline
_FINISH_TIMEOUT_S = 30.0  # per run; what is not sent by then can be synced later
_CLOSE_TIMEOUT_S = 60.0  # at the end of a search, for all that is left to send
_PATIENCE_S = 3.0  # of a user who is not told what is waited for

_OFFLINE_HINT = "trials are recorded offline; send them later: wandb login, then wandb sync"


def resolve_mode(requested: str | None) -> tuple[str, str | None]:
    """Return how trials are to be logged, and a line that says so where it was not asked for.

    ``requested`` is online, offline, disabled or None: then the environment variable WANDB_MODE,
    else online if W&B knows a key of the user's, else offline. Raises `UserError` for another
    value, and for online without a usable key.
    """
    wanted = requested or os.environ.get("WANDB_MODE") or None
    if wanted not in (*MODES, None):
        raise UserError(f"WANDB_MODE={wanted!r} is unknown; allowed: {', '.join(MODES)}")
    if wanted in ("offline", "disabled"):
        return wanted, None
    problem = _key_problem()
    if problem is None:
        return "online", None
    if wanted == "online":
        raise UserError(f"W&B cannot be used online: {problem}; run wandb login, or use offline")
    return "offline", f"{problem}, so {_OFFLINE_HINT} <run folder>/wandb/offline-run-*"


def _key_problem() -> str | None:
    """Return what is wrong with the user's W&B key, or None; asks neither network nor user."""
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True, mode="online"))
        # Looks at WANDB_API_KEY, netrc and W&B's own settings, in wandb's order.
        return None if wandb.login(prompt=False, verify=False) else "no API key was found"
    except Exception as error:  # a malformed key, or a defective settings file
        return _one_line(error)


@dataclass
class _OpenRun:
    """A W&B run that is being written and the first epoch that it does not have yet."""

    run: Any
    next_epoch: int


class WandbTracker(Observer):
    """Logs every trial to a W&B run of its own, from a background thread.

    Parameters: ``mode``, online or offline; the ``folder`` of the search, where wandb/ is made;
    ``say`` prints a line for the user and may be called from another thread; ``job_type`` is W&B's;
    ``run_name`` names a run by its trial's number. `close` ends it; `search_ended` closes it too.
    """

    def __init__(
        self,
        mode: str,
        folder: Path,
        *,
        say: Callable[[str], None] = print,
        job_type: str = "search",
        run_name: Callable[[int], str] = "trial-{:03d}".format,
    ) -> None:
        assert mode in ("online", "offline"), mode
        self._job_type, self._run_name = job_type, run_name
        self._mode = mode
        self._folder = folder
        self._say = say
        self._group = folder.name
        self._id_prefix = ""
        self._tags: tuple[str, ...] = ()
        self._project = os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT
        self._runs: dict[int, _OpenRun] = {}
        self._warned = False
        self._url_said = False
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="wandb-tracker", daemon=True)

    # Called by the search: each puts a task into the queue and returns.

    def search_started(self, search: dict[str, Any]) -> None:
        """Start the background thread; its runs are grouped by ``group``, else by ``name``."""
        name = str(search.get("name", self._folder.name))
        self._group = str(search.get("group") or name)
        # Names repeat between users and machines of one project; run ids must not.
        identity = f"{name} {search.get('created')} {search.get('seed')}"
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        self._id_prefix = f"{re.sub(r'[^A-Za-z0-9_-]', '-', name)[:64]}-{digest}"
        self._tags = ("demo faces",) if (search.get("data") or {}).get("is_demo") else ()
        self._thread.start()

    def trial_started(self, number: int, config: dict[str, Any], epochs_done: int) -> None:
        """Open the trial's run, or go on with it."""
        config = {**config, "trial": number}
        self._tasks.put(lambda: self._open(number, config, epochs_done))

    def epoch_finished(self, number: int, metrics: dict[str, Any]) -> None:
        """Log one epoch."""
        metrics = dict(metrics)
        self._tasks.put(lambda: self._log(number, metrics))

    def trial_ended(self, record: TrialRecord) -> None:
        """Finish the trial's run with its state."""
        self._tasks.put(lambda: self._finish(record))

    def search_ended(self, records: list[TrialRecord], report: Path | None) -> None:
        """Leave the runs of unfinished trials to be continued, and close."""
        self.close()

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Send what is left, for a bounded time; what is not sent by then stays in the folder."""
        if not self._thread.is_alive():
            return
        self._tasks.put(None)
        self._thread.join(min(_PATIENCE_S, timeout_s))
        if self._thread.is_alive():
            self._say(f"waiting for W&B, for at most {timeout_s:.0f} s")
            self._thread.join(max(0.0, timeout_s - _PATIENCE_S))
        if self._thread.is_alive():
            self._warn(f"it is still busy after {timeout_s:.0f} s")

    # Everything below runs in the background thread.

    def _work(self) -> None:
        """Do the tasks in their order; one that fails is no reason to leave out the others."""
        while task := self._tasks.get():
            self._attempt(task)
        for number in list(self._runs):
            self._attempt(functools.partial(self._interrupt, number))

    def _attempt(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:
            self._warn(_one_line(error))

    def _open(self, number: int, config: dict[str, Any], epochs_done: int) -> None:
        if number in self._runs:  # its worker was lost: the same run goes on
            return
        try:
            run = self._init(number, config)
        except Exception as error:
            if self._mode == "offline":
                raise
            self._mode = "offline"
            self._warn(_one_line(error))
            run = self._init(number, config)
        # W&B may have seen epochs that came after the checkpoint from which a trial goes on.
        self._runs[number] = _OpenRun(run, next_epoch=max(epochs_done + 1, run.step))
        if self._mode == "online" and not self._url_said:
            self._url_said = True
            self._say(f"W&B: {run.project_url}/groups/{quote(self._group, safe='')}")

    def _init(self, number: int, config: dict[str, Any]) -> Any:
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_INIT_TIMEOUT_S,
            finish_timeout=_FINISH_TIMEOUT_S,
            finish_timeout_raises=True,
            allow_val_change=True,  # a resumed search may have another number of epochs
            # The driver's load says nothing about a trial, which runs elsewhere.
            x_disable_stats=True,
            disable_code=True,
            disable_git=True,
            x_save_requirements=False,
        )
        return wandb.init(
            project=self._project,
            group=self._group,
            job_type=self._job_type,
            name=self._run_name(number),
            id=f"{self._id_prefix}-{number:03d}",
            config=config,
            tags=self._tags,
            dir=str(self._folder),
            mode=cast(Literal["online", "offline"], self._mode),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )

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
        trial.run.tags = (*self._tags, record.state)
        trial.run.summary.update({"state": record.state, "score": record.score})
        if record.reason:
            trial.run.summary["reason"] = record.reason
        trial.run.finish(exit_code=1 if record.state == "FAIL" else 0)

    def _interrupt(self, number: int) -> None:
        """Close a run so that W&B takes it for preempted, to be continued, not for finished."""
        run = self._runs.pop(number).run
        run.mark_preempting()
        run.finish(exit_code=1)

    def _warn(self, problem: str) -> None:
        """Say once that W&B is in trouble; what follows from the same cause says nothing new."""
        if not self._warned:
            self._warned = True
            where = f"wandb sync --include-online {self._folder}/wandb/*run-*"
            self._say(f"W&B: {problem}; the search goes on, and what W&B missed: {where}")


def _one_line(error: Exception) -> str:
    """Return an error's first line, without the user's key should it be quoted there."""
    text = str(error) or type(error).__name__
    if key := os.environ.get("WANDB_API_KEY"):
        text = text.replace(key, "***")
    return text.splitlines()[0].strip().rstrip(".")[:200]
