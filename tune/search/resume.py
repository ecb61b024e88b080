"""Going on with a search, and what must not have changed since it began."""

import shlex
from argparse import Namespace
from contextlib import ExitStack

from tune.cluster import Resources
from tune.console import labelled
from tune.options.search import SearchOptions
from tune.records.provenance import list_code_changes, refuse_other_training
from tune.records.run_folder import FINISHED, SearchFolder
from tune.records.search import SearchRecord
from tune.report.page import write_report
from tune.search.prepare import Prepared, join, prepare
from tune.search.run import SearchRun, open_study, write_inputs
from tune.spaces.space import describe_change
from utkface.io import UV_RUN, UserError


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
        write_inputs(prepared, folder)  # says in seconds that the disk is still full
        if _is_done(search, options, prepared, folder):
            return 0
        joined = join(stack, prepared)
        _refuse_another_device(search, joined.resources, anyway)
        for change in list_code_changes(search):
            print(labelled("changed", change))
        search.options, search.num_trials = options, options.num_trials
        return SearchRun(prepared, folder, search, joined).run(stack)


def _is_done(
    search: SearchRecord, options: SearchOptions, prepared: Prepared, folder: SearchFolder
) -> bool:
    """Whether a finished search has nothing left to do; its tables and page are written anew.

    Raises `UserError` for fewer trials than it has.
    """
    study = open_study(prepared, folder, search.warm_start)
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
    run = shlex.quote(str(folder.path))
    more = f"--resume {run} --num-trials {num_results + 8}"
    print(labelled("more", f"{UV_RUN}python tune/run_search.py {more}"))
    return True


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


def _refuse_another_device(search: SearchRecord, resources: Resources, anyway: bool) -> None:
    """Raise `UserError` where trials of one study would come from CPUs and from GPUs."""
    then, now_ = ("GPU" if gpus else "CPU" for gpus in (
        search.gpus_per_trial, resources.gpus_per_trial
    ))  # fmt: skip
    if then != now_ and not anyway:
        raise UserError(
            f"the trials of {search.name} ran on a {then}, these would run on a {now_}, whose "
            f"numbers differ; go on on a {then}, or mix them with --resume-anyway"
        )
