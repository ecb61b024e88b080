"""A search from its options to its run folder: prepare, run, record.

Everything that the user may have got wrong is checked before a run folder is made.
"""

import math
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack

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
from tune.records.provenance import list_code_changes, refuse_other_training
from tune.records.run_folder import FAILED, FINISHED, INTERRUPTED, RUNNING, SearchFolder
from tune.records.search import CheckpointsRecord, SearchRecord, Status, WarmStart
from tune.records.trials import rank_complete
from tune.report.page import write_report
from tune.search import confirm
from tune.search.prepare import Prepared, describe_search, join, prepare
from tune.search.warm_start import known_trials, plan_warm_start, read_runs
from tune.search.writer import RecordWriter
from tune.spaces.space import describe_change
from tune.study.study import SEARCH_ROWS, SearchStudy
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
        _write_inputs(prepared, folder)
        for remark in prepared.space.remarks:
            print(labelled("space", remark))
        for line in warm_start.notes:
            print(labelled("warm start", line))
        search = describe_search(prepared, folder, joined.resources, cluster.hardware())
        search.warm_start = warm_start
        folder.write_record(search)  # from here on the run can be resumed
        return _run(stack, prepared, folder, search, joined)


def resume(folder: SearchFolder, given: Namespace, *, anyway: bool = False) -> int:
    """Go on with an interrupted search, or extend a finished one; return the exit status.

    ``anyway``: also on another kind of device, whose numbers are not quite the same.
    """
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        search = folder.record
        refuse_other_training(search, "start a new search")
        options = search.options.resumed_with(given, "the search", "a new search")
        prepared = prepare(options)
        _refuse_changes(search, prepared)
        _write_inputs(prepared, folder)  # says in seconds that the disk is still full
        if _is_done(search, options, prepared, folder):
            return 0
        joined = join(stack, prepared)
        _refuse_another_device(search, joined.resources, anyway)
        for change in list_code_changes(search):
            print(labelled("changed", change))
        search.options, search.num_trials = options, options.num_trials
        return _run(stack, prepared, folder, search, joined)


def _is_done(
    search: SearchRecord, options: SearchOptions, prepared: Prepared, folder: SearchFolder
) -> bool:
    """Whether a finished search has nothing left to do; its tables and page are written anew.

    Raises `UserError` for fewer trials than it has.
    """
    study = _open_study(prepared, folder, search.warm_start)
    num_results = study.num_results()
    if options.num_trials < num_results:
        raise UserError(
            f"--num-trials {options.num_trials} counts the trials of all sessions, and "
            f"{num_results} have ended already; allowed: {num_results} or more"
        )
    is_confirmed = search.confirmation is not None and search.options.finalists >= options.finalists
    unfinished = study.num_unfinished() or options.num_trials > num_results
    if search.status != FINISHED or unfinished or (options.confirm and not is_confirmed):
        return False
    records = study.records()
    folder.write_tables(records, study.objectives, search.confirmation)
    report = write_report(search, records, study.study, folder.path / "report.html")
    print(labelled("finished", f"all {num_results} trials, so nothing is left to do"))
    print(labelled("report", report))
    more = f"--resume {folder.path.name} --num-trials {num_results + 8}"
    print(labelled("more", f"{UV_RUN}python tune/run_search.py {more}"))
    return True


def _write_inputs(prepared: Prepared, folder: SearchFolder) -> None:
    """Write what is searched; again when the search goes on, should a file have been damaged."""
    folder.write_text("space.py", prepared.space.source)
    print(labelled("data", write_data_tables(prepared.faces, folder.path / "data")))
    prepared.split.save(folder.path / "data" / "split.json", prepared.faces.table)


def _run(
    stack: ExitStack,
    prepared: Prepared,
    folder: SearchFolder,
    search: SearchRecord,
    joined: cluster.Joined,
) -> int:
    """Search until the trials, the time or the user's patience are used up; write the results."""
    options, resources = prepared.options, joined.resources
    checkpoints = CheckpointStore.of_run(options.storage, folder.path)
    checkpoints.check()
    study = _open_study(prepared, folder, search.warm_start)
    num_unfinished = study.num_unfinished()
    earlier = [record for record in study.records() if record.state != "RUNNING"]
    mode, wandb_line = resolve_mode(options.wandb)
    begun = RunStart(search, folder.path, joined.dashboard, wandb_line)
    screen = stack.enter_context(Screen(begun, earlier=earlier))
    callbacks: list[Callback] = [screen]
    if mode != "disabled":
        tracker = WandbLogger(mode, folder.path, say=screen.say, checkpoints=checkpoints)
        stack.callback(tracker.close)
        callbacks.append(tracker)
    writer = RecordWriter(folder, search, study)
    search.status, search.wandb, search.concurrency = RUNNING, mode, resources.concurrency
    callbacks.append(writer)
    for callback in callbacks:
        callback.search_started(begun)

    job = search_job(prepared, checkpoints, resources, joined.images_ref)
    num_best = options.finalists if options.confirm else 1
    session = SearchSession(study, options.num_trials, callbacks, checkpoints, num_best=num_best)
    if session.has_more:
        search.confirmation = None  # of fewer trials; made anew at the end
    end_s = time.monotonic() + (options.time_budget or math.inf)
    with interruptible(session, options.time_budget), writer.kept_if_the_disk_is_full():
        run_trials(face_trainable(job), folder.path, session, resources)
    session.tidy(study.records())  # a driver killed at a trial's end left that for now
    at_most = max(resources.concurrency, num_unfinished) + session.num_best
    search.checkpoints = _checkpoints(checkpoints, at_most)
    status = _status(session)
    if status == FINISHED and options.confirm:
        is_confirmed = False  # what is trained again is yet to come
        if not session.interrupted and end_s > time.monotonic():
            with writer.kept_if_the_disk_is_full():
                again = _confirm(
                    prepared, folder, search, session, job, resources, screen.say, end_s
                )
            is_confirmed = again is None or _is_over(again)
            session = again or session
        status = FINISHED if is_confirmed else INTERRUPTED
    report = writer.finish(status)
    for callback in callbacks:
        callback.search_ended(study.records(), report)
    if search.checkpoints is not None:
        screen.say(disk_line(search.checkpoints))
    return _exit_status(study, session, status)


def _checkpoints(store: CheckpointStore, at_most: int) -> CheckpointsRecord | None:
    """Return what checkpoints are there, or None where their storage does not answer."""
    try:
        sizes = store.sizes()
    except OSError:
        return None
    return CheckpointsRecord(num=len(sizes), bytes=sum(sizes.values()), at_most=at_most)


def _confirm(
    prepared: Prepared,
    folder: SearchFolder,
    search: SearchRecord,
    session: SearchSession,
    job: TrialJob,
    resources: cluster.Resources,
    say: Callable[[str], None],
    end_s: float,
) -> SearchSession | None:
    """Train the best again, and record and tell what that shows; return the session that did it.

    None where no trial is complete. ``end_s``: when the time is up, of `time.monotonic`.
    """
    study = session.study
    finalists = prepared.options.finalists
    chosen = confirm.choose(study.records(), study.objectives, finalists)
    if not chosen:
        return None
    confirmation = confirm.open_confirmation(folder.journal, chosen, study.fixed, study.objectives)
    left_s = end_s - time.monotonic()
    budget_s = left_s if math.isfinite(left_s) else None
    again = confirm.train_again(confirmation, folder.path, job, resources, say, budget_s)
    if _is_over(again):
        table = prepared.faces.table.iloc[prepared.split.val]
        labels = (table["age"].to_numpy(), table["gender"].to_numpy(), table["group"].to_numpy())
        found = confirm.compare(chosen, confirmation, job.checkpoints, labels)
        if found is not None:
            search.confirmation = found
    return again


def search_job(
    prepared: Prepared,
    checkpoints: CheckpointStore,
    resources: cluster.Resources,
    images_ref: Sequence[ray.ObjectRef] = (),
) -> TrialJob:
    """Return what all trials of a search share; ``images_ref`` as in `TrialJob`."""
    rows = {SEARCH_ROWS: (prepared.split.train, prepared.split.val)}
    faces, weights = prepared.faces, prepared.weights
    return trial_job(faces, rows, weights, checkpoints, resources, images_ref)


def _open_study(prepared: Prepared, folder: SearchFolder, warm_start: WarmStart) -> SearchStudy:
    options = prepared.options
    return SearchStudy(
        folder.journal,
        prepared.space,
        options.fixed,
        objectives=options.objectives,
        sampler=options.sampler,
        scheduler=options.scheduler,
        grace_epochs=options.grace_epochs,
        reduction_factor=options.reduction_factor,
        # Few trials leave no room for Optuna's usual ten random ones.
        num_startup_trials=max(5, min(10, options.num_trials // 4)),
        first_points=warm_start.first_points,
        known=known_trials(warm_start, prepared),
    )


def _refuse_changes(search: SearchRecord, prepared: Prepared) -> None:
    """Raise `UserError` that says what changed since the search began, if anything that counts."""
    then, now_ = search.data, prepared.describe_data()
    for name in ("fingerprint", "split_hash"):
        before, after = getattr(then, name), getattr(now_, name)
        if before != after:
            raise UserError(
                f"the data have changed since {search.name} began: {then.num_faces} faces "
                f"from {then.source} with {name} {before[:12]} then, {now_.num_faces} "
                f"faces from {now_.source} with {after[:12]} now; give the old faces "
                "with --data, or start a new search"
            )
    if (search.weights_hash or search.weights) not in (
        prepared.weights.fingerprint, prepared.options.weights
    ):  # fmt: skip
        raise UserError(
            f"the first weights are others than when {search.name} began: {search.weights} then, "
            f"{prepared.options.weights} now; give the old ones with --weights, or start a new "
            "search"
        )
    change = describe_change(search.space_signature, prepared.space.signature())
    if change:
        raise UserError(
            f"the space has changed since {search.name} began: {change}; "
            "change it back, or start a new search"
        )


def _refuse_another_device(
    search: SearchRecord, resources: cluster.Resources, anyway: bool
) -> None:
    """Raise `UserError` where trials of one study would come from CPUs and from GPUs."""
    then, now_ = ("GPU" if gpus else "CPU" for gpus in (
        search.gpus_per_trial, resources.gpus_per_trial
    ))  # fmt: skip
    if then != now_ and not anyway:
        raise UserError(
            f"the trials of {search.name} ran on a {then}, these would run on a {now_}, whose "
            f"numbers differ; go on on a {then}, or mix them with --resume-anyway"
        )


def _is_over(session: SearchSession) -> bool:
    """Whether trials were trained again as far as that goes: more will come of no resume."""
    return session.hopeless or not session.has_more


def _status(session: SearchSession) -> Status:
    if session.hopeless:
        return FAILED
    return FINISHED if session.study.num_results() >= session.num_trials else INTERRUPTED


def _exit_status(study: SearchStudy, session: SearchSession, status: Status) -> int:
    """Return 0 unless nothing came of the search (1) or somebody stopped it (130)."""
    if status == FAILED:
        print(
            f"error: too many trials failed, so the search ended; the first of them: "
            f"{session.first_failure}",
            file=sys.stderr,
        )
        return 1
    if session.interrupted:
        return 130
    return 0 if rank_complete(study.records()) else 1
