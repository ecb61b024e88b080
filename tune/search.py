"""A search from its options to its run folder: prepare, run, account.

Everything that the user may have got wrong is checked before a run folder is made.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import ray

from search_spaces import describe_change
from tune import cluster
from tune.account import Prepared, RunningAccount, describe_search, prepare
from tune.checkpoints import CheckpointStore
from tune.interrupt import interruptible
from tune.observer import Observer
from tune.options import SearchOptions
from tune.records import rank_complete
from tune.run_folder import FAILED, FINISHED, INTERRUPTED, RUNNING, RunFolder
from tune.runner import run_trials, trial_job
from tune.screen import Screen
from tune.searcher import SearchSession
from tune.study import SearchStudy
from tune.tracking import WandbTracker, resolve_mode
from tune.trainable import SEARCH_ROWS, TrialJob
from tune.warm_start import WarmStart, plan_warm_start, read_runs
from tune.wording import disk_line, labelled
from utkface.data.faces import write_data_tables
from utkface.io import UserError


def start(options: SearchOptions) -> int:
    """Run a new search; return the exit status."""
    past_runs = read_runs(options.results, options.warm_start)
    prepared = prepare(options)
    resolve_mode(options.wandb)  # says at once that online needs a key
    warm_start = plan_warm_start(past_runs, prepared)
    with ExitStack() as stack:
        joined = _join(stack, prepared)
        folder = RunFolder.create(options.results, prepared.space.name)
        stack.enter_context(folder.lock())
        _write_inputs(prepared, folder)
        for line in warm_start.account:
            print(labelled("warm start", line))
        search = describe_search(prepared, folder, joined.resources, cluster.hardware())
        search["warm_start"] = warm_start.to_dict()
        folder.write_record(search)  # from here on the run can be resumed
        return _run(stack, prepared, folder, search, joined)


def resume(folder: RunFolder, given: dict[str, Any]) -> int:
    """Go on with an interrupted search, or extend a finished one; return the exit status."""
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        search = folder.record
        options = SearchOptions.from_dict(search["options"]).resumed_with(given)
        prepared = prepare(options)
        _refuse_changes(search, prepared)
        _write_inputs(prepared, folder)  # says in seconds that the disk is still full
        joined = _join(stack, prepared)
        search |= {"options": options.to_dict(), "num_trials": options.num_trials}
        return _run(stack, prepared, folder, search, joined)


def _write_inputs(prepared: Prepared, folder: RunFolder) -> None:
    """Write what is searched; again when the search goes on, should a file have been damaged."""
    folder.write_text("space.py", prepared.space.source)
    print(labelled("data", write_data_tables(prepared.faces, folder.path / "data")))
    prepared.split.save(folder.path / "data" / "split.json", prepared.faces.table)


def _run(
    stack: ExitStack,
    prepared: Prepared,
    folder: RunFolder,
    search: dict[str, Any],
    joined: cluster.Joined,
) -> int:
    """Search until the trials, the time or the user's patience are used up; write the account."""
    options, resources = prepared.options, joined.resources
    checkpoints = CheckpointStore.of_run(options.storage, folder.path)
    checkpoints.check()
    study = _open_study(prepared, folder, WarmStart.from_dict(search.get("warm_start")))
    num_unfinished = study.num_unfinished()
    earlier = [record for record in study.records() if record.state != "RUNNING"]
    screen = stack.enter_context(Screen(earlier=earlier))
    observers: list[Observer] = [screen]
    mode, wandb_line = resolve_mode(options.wandb)
    if mode != "disabled":
        tracker = WandbTracker(mode, folder.path, say=screen.say, checkpoints=checkpoints)
        stack.callback(tracker.close)
        observers.append(tracker)
    session = SearchSession(study, options.num_trials, observers, checkpoints)
    stack.enter_context(interruptible(session, options.time_budget))

    search |= {"status": RUNNING, "wandb": mode, "concurrency": resources.concurrency}
    account = RunningAccount(folder, search, study)
    observers.append(account)
    shown = {"folder": folder.path, "dashboard": joined.dashboard, "wandb_line": wandb_line}
    for observer in observers:
        observer.search_started({**search, **shown})
    if session.has_more:  # not so where a finished search is resumed, or one killed at its very end
        try:
            job = search_job(prepared, checkpoints, resources, joined.images_ref)
            run_trials(job, folder, session, resources)
        except UserError:
            account.give_up()
            raise
    session.tidy(study.records())  # a driver killed at a trial's end left that for now
    sizes = checkpoints.sizes()
    at_most = max(resources.concurrency, num_unfinished) + 1
    search["checkpoints"] = {"num": len(sizes), "bytes": sum(sizes.values()), "at_most": at_most}
    status = _status(session)
    report = account.finish(status)
    for observer in observers:
        observer.search_ended(study.records(), report)
    screen.say(disk_line(search["checkpoints"]))
    return _exit_status(session, status)


def search_job(
    prepared: Prepared,
    checkpoints: CheckpointStore,
    resources: cluster.Resources,
    images_ref: Sequence[ray.ObjectRef] = (),
) -> TrialJob:
    """Return what all trials of a search share; ``images_ref`` as in `TrialJob`."""
    rows = {SEARCH_ROWS: (prepared.split.train, prepared.split.val)}
    weights = cluster.Weights.read(prepared.options.weights)
    return trial_job(prepared.faces, rows, weights, checkpoints, resources, images_ref)


def _open_study(prepared: Prepared, folder: RunFolder, warm_start: WarmStart) -> SearchStudy:
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
        known=warm_start.known_trials(prepared),
    )


def _join(stack: ExitStack, prepared: Prepared) -> cluster.Joined:
    options = prepared.options
    weights = cluster.Weights.read(options.weights)
    return cluster.join(stack, options, prepared.faces, weights, prepared.example_configs())


def _refuse_changes(search: dict[str, Any], prepared: Prepared) -> None:
    """Raise `UserError` that says what changed since the search began, if anything that counts."""
    then, now_ = search["data"], prepared.describe_data()
    for name in ("fingerprint", "split_hash"):
        if then[name] != now_[name]:
            raise UserError(
                f"the data have changed since {search['name']} began: {then['num_faces']} faces "
                f"from {then['source']} with {name} {then[name][:12]} then, {now_['num_faces']} "
                f"faces from {now_['source']} with {now_[name][:12]} now; give the old faces "
                "with --data, or start a new search"
            )
    change = describe_change(search["space_signature"], prepared.space.signature())
    if change:
        raise UserError(
            f"the space has changed since {search['name']} began: {change}; "
            "change it back, or start a new search"
        )


def _status(session: SearchSession) -> str:
    if session.hopeless:
        return FAILED
    ended = [record for record in session.study.records() if record.state != "RUNNING"]
    return FINISHED if len(ended) >= session.num_trials else INTERRUPTED


def _exit_status(session: SearchSession, status: str) -> int:
    """Return 0 unless nothing came of the search (1) or somebody stopped it (130)."""
    if status == FAILED:
        print(
            f"error: the first trials all failed, so the search ended; the first of them: "
            f"{session.first_failure}",
            file=sys.stderr,
        )
        return 1
    if session.interrupted:
        return 130
    return 0 if rank_complete(session.study.records()) else 1
