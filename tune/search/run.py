"""A search from its options to its run folder: prepare, run, record.

Everything that the user may have got wrong is checked before a run folder is made.
"""

import contextlib
import dataclasses
import math
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import ray

from tune import cluster
from tune.console import labelled
from tune.console.lines import disk_line
from tune.console.screen import Screen
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import Callback, RunStart
from tune.execution.session import SearchSession, interruptible
from tune.execution.trainable import TrialJob, face_trainable, trial_job
from tune.options.search import SearchOptions
from tune.records.files import Status
from tune.records.provenance import (
    list_code_changes,
    refuse_another_device,
    refuse_other_training,
)
from tune.records.run_folder import FAILED, FINISHED, INTERRUPTED, RUNNING, SearchFolder
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord, rank_complete
from tune.search import confirm
from tune.search.prepare import Prepared, describe_search, join, prepare, refuse_changes
from tune.search.warm_start import known_trials, plan_warm_start, read_runs
from tune.search.writer import RecordWriter, write_results
from tune.study.sources import SEARCH_ROWS
from tune.study.study import SearchStudy
from tune.tracking.wandb_logger import WandbLogger, resolve_mode
from utkface.data.faces import write_data_tables
from utkface.io import UV_RUN, UserError


def start(options: SearchOptions) -> int:
    """Run a new search; return the exit status."""
    past_runs = read_runs(options.results, options.warm_start)
    prepared = prepare(options)
    resolve_mode(options.wandb)  # says at once that online needs a key
    warm_start = plan_warm_start(past_runs, prepared)
    with ExitStack() as stack:
        joined = join(stack, prepared)
        folder = SearchFolder.create(options.results, prepared.space.name)
        stack.enter_context(folder.lock())
        write_inputs(prepared, folder)
        for remark in prepared.space.remarks:
            print(labelled("space", remark))
        for line in warm_start.notes:
            print(labelled("warm start", line))
        search = describe_search(prepared, folder, joined.resources, warm_start)
        folder.write_record(search)  # from here on the run can be resumed
        return SearchRun(prepared, folder, search, joined).run(stack)


def resume(folder: SearchFolder, given: Namespace, *, anyway: bool = False) -> int:
    """Go on with an interrupted search, or extend a finished one; return the exit status.

    ``anyway``: also on another kind of device, whose numbers are not quite the same.
    """
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        search = folder.record
        refuse_other_training(search, "start a new search")
        results = folder.path.parent
        options = search.options.resumed_with(given, results, "the search", "a new search")
        if options.space.endswith(".py") and not Path(options.space).is_file():
            print(labelled("space", f"{options.space} is not here; the run's own copy is taken"))
            options = dataclasses.replace(options, space=str(folder.path / "space.py"))
        prepared = prepare(options)
        refuse_changes(search, prepared)
        write_inputs(prepared, folder)  # says in seconds that the disk is still full
        if _is_done(search, options, prepared, folder):
            return 0
        joined = join(stack, prepared)
        if not anyway:
            refuse_another_device(
                f"the trials of {search.name}", search.gpus_per_trial,
                joined.resources.gpus_per_trial, "mix them with --resume-anyway",
            )  # fmt: skip
        for change in list_code_changes(search):
            print(labelled("changed", change))
        search.options = options
        return SearchRun(prepared, folder, search, joined).run(stack)


def _is_done(
    search: SearchRecord, options: SearchOptions, prepared: Prepared, folder: SearchFolder
) -> bool:
    """Whether a finished search has nothing left to do; its tables and page are written anew.

    Raises `UserError` for fewer trials than it has.
    """
    study = open_study(prepared, folder, search)
    num_results, num_unfinished = study.num_results(), study.num_unfinished()
    if options.num_trials < num_results + num_unfinished:
        begun = f" and {num_unfinished} begun" if num_unfinished else ""
        raise UserError(
            f"--num-trials {options.num_trials} counts the trials of all sessions, and "
            f"{num_results} have ended{begun} already; allowed: "
            f"{num_results + num_unfinished} or more"
        )
    before = search.options
    is_confirmed = search.confirmation is not None and (
        before.finalists >= options.finalists and before.fresh_seeds >= options.fresh_seeds
    )
    has_more = num_unfinished or options.num_trials > num_results
    to_confirm = options.confirm and not is_confirmed and rank_complete(study.records())
    if search.status != FINISHED or has_more or to_confirm:
        return False
    report = write_results(folder, search, study)
    print(labelled("finished", f"all {num_results} trials, so nothing is left to do"))
    print(labelled("report", report))
    run = shlex.quote(str(folder.path))
    more = f"--resume {run} --num-trials {num_results + 8}"
    print(labelled("more", f"{UV_RUN}python tune/run_search.py {more}"))
    return True


class SearchRun:
    """One session of a search in its folder: it searches, confirms and writes the results."""

    def __init__(
        self, prepared: Prepared, folder: SearchFolder, record: SearchRecord, joined: cluster.Joined
    ) -> None:
        options = prepared.options
        self.prepared, self.folder, self.record = prepared, folder, record
        self.resources, self.dashboard = joined.resources, joined.dashboard
        self.checkpoints = CheckpointStore.of_run(options.storage, folder.path, record.name)
        self.study = open_study(prepared, folder, record)
        self.job = search_job(prepared, self.checkpoints, joined.resources, joined.images_ref)
        self.writer = RecordWriter(folder, record, self.study)
        self._end_s = time.monotonic() + (options.time_budget or math.inf)

    def run(self, stack: ExitStack) -> int:
        """Search until the trials, the time or the user's patience are used up; return the status.

        0, 1 where nothing came of the search, 130 where somebody stopped it. What is opened here is
        closed with the stack.
        """
        self.checkpoints.check()
        options, num_unfinished = self.prepared.options, self.study.num_unfinished()
        screen, callbacks = self._watch(stack)
        session = SearchSession(
            self.study, options.num_trials, callbacks, self.checkpoints,
            keep=self._to_confirm if options.confirm else None,
        )  # fmt: skip
        if session.has_more:
            self.record.confirmation = None  # of fewer trials; made anew at the end
        disk = []
        try:
            with interruptible(session, options.time_budget):
                run_trials(face_trainable(self.job), self.folder.path, session, self.resources)
            session.tidy(self.study.records())  # left for now where a driver was killed at an end
            with contextlib.suppress(OSError):  # the storage does not answer
                at_most = max(self.resources.concurrency, num_unfinished) + options.num_kept
                disk = [disk_line(self.checkpoints.sizes().values(), at_most)]
            last_session, status = self._conclude(session, screen.say)
        except UserError:  # the disk is full: say as much as it lets be said
            with contextlib.suppress(UserError, OSError):
                self.writer.finish(INTERRUPTED)
            raise
        report = self.writer.finish(status)
        for callback in callbacks:
            callback.search_ended(self.study.records(), report)
        for line in disk:
            screen.say(line)
        if status == FAILED:
            print(
                f"error: too many trials failed, so the search ended; the first of them: "
                f"{session.first_failure}",
                file=sys.stderr,
            )
            return 1
        if last_session.interrupted:
            return 130
        return 0 if rank_complete(self.study.records()) else 1

    def _watch(self, stack: ExitStack) -> tuple[Screen, list[Callback]]:
        """Tell all who watch that the search begins; return the screen, and all of them."""
        mode, wandb_line = resolve_mode(self.prepared.options.wandb)
        record, folder = self.record, self.folder.path
        record.status, record.ended, record.wandb = RUNNING, None, mode
        record.concurrency = self.resources.concurrency
        begun = RunStart(record, folder, self.dashboard, wandb_line)
        earlier = [trial for trial in self.study.records() if trial.state != "RUNNING"]
        screen = stack.enter_context(Screen(begun, earlier=earlier))
        callbacks: list[Callback] = [screen]
        if mode != "disabled":
            tracker = WandbLogger(mode, folder, say=screen.say, checkpoints=self.checkpoints)
            stack.callback(tracker.close)
            callbacks.append(tracker)
        callbacks.append(self.writer)
        for callback in callbacks:
            callback.search_started(begun)
        return screen, callbacks

    def _conclude(
        self, session: SearchSession, say: Callable[[str], None]
    ) -> tuple[SearchSession, Status]:
        """Train the best again once all trials have ended; return the last session and status."""
        if session.hopeless:
            return session, FAILED
        if not session.is_over:
            return session, INTERRUPTED
        if not self.prepared.options.confirm:
            return session, FINISHED
        left_s = self._end_s - time.monotonic()
        if session.interrupted or left_s <= 0:
            return session, INTERRUPTED  # what is trained again is yet to come
        again = self._confirm(say, left_s if math.isfinite(left_s) else None)
        return again or session, FINISHED if again is None or again.is_over else INTERRUPTED

    def _to_confirm(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Return the trials to train again, of which one may turn out to be the best."""
        return confirm.choose(records, self.study.objectives, self.prepared.options.finalists)

    def _confirm(
        self, say: Callable[[str], None], time_budget_s: float | None
    ) -> SearchSession | None:
        """Train the best again, and record what that shows; return the session that did it.

        None where no trial is complete. From here on nothing is written to the search's own study:
        the journal is opened a second time, and two writers know nothing of each other's lines.
        """
        study, prepared = self.study, self.prepared
        chosen = self._to_confirm(study.records())
        if not chosen:
            return None
        confirmation = confirm.open_confirmation(
            self.folder.journal,
            chosen,
            study.fixed,
            study.objectives,
            prepared.options.fresh_seeds,
        )
        again = confirm.train_again(
            confirmation, self.folder.path, self.job, self.resources, say, time_budget_s
        )
        if again.is_over:
            faces = prepared.faces.table.iloc[prepared.split.val]
            labels = {name: faces[name].to_numpy() for name in ("age", "gender", "group")}
            found = confirm.compare(chosen, confirmation, self.checkpoints, labels)
            self.record.confirmation = found or self.record.confirmation
        return again


def write_inputs(prepared: Prepared, folder: SearchFolder) -> None:
    """Write what is searched; again when the search goes on, should a file have been damaged."""
    folder.write_text("space.py", prepared.space.file.text)
    print(labelled("data", write_data_tables(prepared.faces, folder.path / "data")))
    prepared.split.save(folder.path / "data" / "split.json", prepared.faces.table)


def search_job(
    prepared: Prepared,
    checkpoints: CheckpointStore,
    resources: cluster.Resources,
    images_ref: Sequence[ray.ObjectRef] = (),
) -> TrialJob:
    """Return what all trials of a search share; ``images_ref`` as in `TrialJob`."""
    rows = {SEARCH_ROWS: (prepared.split.train, prepared.split.val)}
    return trial_job(prepared.faces, rows, prepared.weights, checkpoints, resources, images_ref)


def open_study(prepared: Prepared, folder: SearchFolder, record: SearchRecord) -> SearchStudy:
    """Open a search's study as its options ask for, or make it."""
    options, warm_start = prepared.options, record.warm_start
    return SearchStudy(
        folder.journal,
        prepared.space,
        options.fixed,
        objectives=options.objectives,
        sampler=options.sampler,
        scheduler=options.scheduler,
        # As when it began: the default has been another one.
        grace_epochs=next(iter(record.rungs), options.grace_epochs),
        reduction_factor=options.reduction_factor,
        # Few trials leave no room for Optuna's usual ten random ones.
        num_startup_trials=max(5, min(10, options.num_trials // 4)),
        first_points=warm_start.first_points,
        known=known_trials(warm_start, prepared),
    )
