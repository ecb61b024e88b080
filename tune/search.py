"""A search from its options to its run folder: prepare, run, account.

Everything that the user may have got wrong is checked before a run folder is made.
"""

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import ray

from tune import cluster, confirm
from tune.account import (
    Prepared,
    RunningAccount,
    describe_search,
    list_code_changes,
    prepare,
    refuse_other_training,
)
from tune.checkpoints import CheckpointStore
from tune.interrupt import interruptible
from tune.observer import Observer
from tune.options import SearchOptions
from tune.records import Confirmation, rank_complete
from tune.run_folder import FAILED, FINISHED, INTERRUPTED, RUNNING, RunFolder
from tune.runner import run_trials, trial_job
from tune.screen import Screen
from tune.searcher import SearchSession
from tune.spaces import describe_change
from tune.study import SEARCH_ROWS, SearchStudy
from tune.trainable import TrialJob
from tune.wandb_logger import WandbLogger, resolve_mode
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
        for remark in prepared.space.remarks:
            print(labelled("space", remark))
        for line in warm_start.account:
            print(labelled("warm start", line))
        search = describe_search(prepared, folder, joined.resources, cluster.hardware())
        search["warm_start"] = warm_start.to_dict()
        folder.write_record(search)  # from here on the run can be resumed
        return _run(stack, prepared, folder, search, joined)


def resume(folder: RunFolder, given: dict[str, Any], *, anyway: bool = False) -> int:
    """Go on with an interrupted search, or extend a finished one; return the exit status.

    ``anyway``: also on another kind of device, whose numbers are not quite the same.
    """
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        search = folder.record
        refuse_other_training(search, "start a new search")
        options = SearchOptions.from_dict(search["options"]).resumed_with(given)
        prepared = prepare(options)
        _refuse_changes(search, prepared)
        _write_inputs(prepared, folder)  # says in seconds that the disk is still full
        joined = _join(stack, prepared)
        _refuse_another_device(search, joined.resources, anyway)
        for change in list_code_changes(search):
            print(labelled("changed", change))
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
        tracker = WandbLogger(mode, folder.path, say=screen.say, checkpoints=checkpoints)
        stack.callback(tracker.close)
        observers.append(tracker)
    account = RunningAccount(folder, search, study)
    search |= {"status": RUNNING, "wandb": mode, "concurrency": resources.concurrency}
    observers.append(account)
    shown = {"folder": folder.path, "dashboard": joined.dashboard, "wandb_line": wandb_line}
    for observer in observers:
        observer.search_started({**search, **shown})

    job = search_job(prepared, checkpoints, resources, joined.images_ref)
    num_best = confirm.NUM_FINALISTS if options.confirm else 1
    session = SearchSession(study, options.num_trials, observers, checkpoints, num_best=num_best)
    with interruptible(session, options.time_budget), account.kept_if_the_disk_is_full():
        if session.has_more:  # not so where a finished search is resumed, or one killed at its end
            run_trials(job, folder, session, resources)
    session.tidy(study.records())  # a driver killed at a trial's end left that for now
    sizes = checkpoints.sizes()
    at_most = max(resources.concurrency, num_unfinished) + session.num_best
    search["checkpoints"] = {"num": len(sizes), "bytes": sum(sizes.values()), "at_most": at_most}
    status = _status(session)
    if status == FINISHED and options.confirm and session.interrupted:
        status = INTERRUPTED  # at the last trial's end: what is trained again is yet to come
    elif status == FINISHED and options.confirm:
        with account.kept_if_the_disk_is_full():
            session = _confirm(prepared, folder, study, job, resources, screen) or session
        if session.interrupted:
            status = INTERRUPTED
        else:
            confirmation = _compare_confirmed(prepared, folder, study, checkpoints)
            if confirmation is not None:
                search["confirmation"] = confirmation.model_dump()
                for observer in observers:
                    observer.search_confirmed(confirmation)
    report = account.finish(status)
    for observer in observers:
        observer.search_ended(study.records(), report)
    screen.say(disk_line(search["checkpoints"]))
    return _exit_status(study, session, status)


def _confirm(
    prepared: Prepared,
    folder: RunFolder,
    study: SearchStudy,
    job: TrialJob,
    resources: cluster.Resources,
    screen: Screen,
) -> SearchSession | None:
    """Train the best trials again with fresh seeds; return the session, None without any trial."""
    confirmation = _open_confirmation(prepared, folder, study)
    if confirmation is None:
        return None
    points = confirmation.space.points
    store = confirm.confirmation_store(job.checkpoints)
    told = confirm.ConfirmationLines(screen.say, points)
    session = SearchSession(confirmation, len(points), [told], store, replace_failed=False)
    if session.has_more:
        trials = ", ".join(str(number) for number in dict.fromkeys(p["trial"] for p in points))
        seeds = " and ".join(str(seed) for seed in confirm.fresh_seeds(study.fixed["seed"]))
        screen.say(f"trained again with seeds {seeds} (--no-confirm skips it): trial {trials}")
        with interruptible(session, None):
            job = dataclasses.replace(job, checkpoints=store)
            run_trials(job, folder, session, resources, name="ray-confirm")
    store.keep_only(set(), set(range(len(points))))
    return session


def _compare_confirmed(
    prepared: Prepared, folder: RunFolder, study: SearchStudy, checkpoints: CheckpointStore
) -> Confirmation | None:
    """Return what training again showed."""
    confirmation = _open_confirmation(prepared, folder, study)
    if confirmation is None:
        return None
    table = prepared.faces.table.iloc[prepared.split.val]
    age, gender, group = (table[name].to_numpy() for name in ("age", "gender", "group"))
    chosen = confirm.choose(study.records(), study.objectives)
    return confirm.compare(chosen, confirmation, checkpoints, (age, gender, group))


def _open_confirmation(
    prepared: Prepared, folder: RunFolder, study: SearchStudy
) -> SearchStudy | None:
    chosen = confirm.choose(study.records(), study.objectives)
    if not chosen:
        return None
    fixed = prepared.options.fixed
    return confirm.open_confirmation(folder.journal, chosen, fixed, study.objectives)


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
    examples = prepared.space.example_configs(options.fixed)
    return cluster.join(stack, options, prepared.faces, weights, examples)


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


def _refuse_another_device(
    search: dict[str, Any], resources: cluster.Resources, anyway: bool
) -> None:
    """Raise `UserError` where trials of one study would come from CPUs and from GPUs."""
    then, now_ = ("GPU" if gpus else "CPU" for gpus in (
        search.get("gpus_per_trial"), resources.gpus_per_trial
    ))  # fmt: skip
    if then != now_ and not anyway:
        raise UserError(
            f"the trials of {search['name']} ran on a {then}, these would run on a {now_}, whose "
            f"numbers differ; go on on a {then}, or mix them with --resume-anyway"
        )


def _status(session: SearchSession) -> str:
    if session.hopeless:
        return FAILED
    ended = [record for record in session.study.records() if record.state != "RUNNING"]
    return FINISHED if len(ended) >= session.num_trials else INTERRUPTED


def _exit_status(study: SearchStudy, session: SearchSession, status: str) -> int:
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
    return 0 if rank_complete(study.records()) else 1
