"""What a page says of a search in sentences: what was asked, on what, and how to go on."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from search_spaces.common import REFERENCE
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.report.analysis import last_value
from tune.spaces.objectives import describe_objectives
from utkface.evaluation.report.text import (
    show,
    show_duration,
    show_fields,
    show_fixed,
    show_hardware,
)
from utkface.io import UV_RUN

#: What the page says on top about a search that is not finished, by its status.
NOTICES = {
    "interrupted": "The search was interrupted before all its trials were done; --resume goes on "
    "with it (last section).",
    "failed": "The search gave up, as its trials kept failing: see Trials that failed or diverged.",
}

#: A space changes those of the reference's settings that it asks about, but not its optimiser.
_REFERENCE_MARKS = ("max_lr", "weight_decay")


def list_facts(search: SearchRecord) -> list[tuple[str, str]]:
    """Return what was asked and what it ran on, as names and texts."""
    data = search.data
    faces = f"{show(data.num_train)} to train on, {show(data.num_val)} to validate on"
    faces += f", of {show(data.num_faces)} ({show(data.num_rejected)} files rejected)"
    stopping = search.options.scheduler
    if search.rungs:
        goes_on = f"1 in {search.options.reduction_factor} goes on"
        stopping += f", {goes_on} after epochs {show(search.rungs)}"
    return [
        ("seed", show(search.options.seed)),
        ("began", search.created.replace("T", " ")),
        ("wall time", show_duration(search.wall_s)),
        ("ended", (search.ended or search.status).replace("T", " ")),
        ("trials asked for", show(search.options.num_trials)),
        ("epochs per trial", show(search.options.max_epochs)),
        ("objective", describe_objectives(search.options.objectives)),
        ("sampler", search.options.sampler),
        ("from earlier searches", "; ".join(search.warm_start.notes) or "–"),
        ("early stopping", stopping),
        ("data", data.source),
        ("faces", faces),
        ("image size", f"{search.options.image_size} px"),
        ("split", search.options.split),
        ("first weights", search.options.weights),
        ("data fingerprint", data.fingerprint),
        ("hardware", show_hardware(search.hardware)),
        ("versions", show_fields(search.versions)),
        ("training code", f"version {search.training_version}"),
        ("commit", show(search.commit)),
    ]


def list_points(
    search: SearchRecord, records: Sequence[TrialRecord], best: TrialRecord | None, metric: str
) -> list[str]:
    """Say how the trial of each of the space's starting points fared, by its last ``metric``."""
    texts = []
    started = [record for record in records if record.is_starting_point]  # in the points' order
    for point, record in zip(search.points, started, strict=False):
        is_reference = all(point.get(name) == REFERENCE[name] for name in _REFERENCE_MARKS)
        value, num_epochs = show_fixed(last_value(record, metric), 4), len(record.epochs)
        how = {
            "COMPLETE": f"reached {value}",
            "PRUNED": f"stood at {value} when it was stopped after epoch {num_epochs}",
            "FAIL": "failed",
            "RUNNING": "is unfinished",
        }[record.state]
        if record.diverged:
            how = f"diverged in epoch {num_epochs + 1}"
        if record is best:
            how = "is that best one"
        note = " (the reference's settings)" if is_reference else ""
        texts.append(f"trial {record.number}{note} {how}")
    return texts


def list_commands(folder: Path) -> list[tuple[str, str]]:
    """Return how to look further and go on, as purposes and command lines."""
    folder = from_here(folder)
    run, journal = shlex.quote(str(folder)), shlex.quote(str(folder / "study.journal"))
    return [
        ("The same study, interactively:", f"{UV_RUN}optuna-dashboard {journal}"),
        (
            "Every trial's curve, once TensorBoard is installed:",
            f"uvx tensorboard --logdir {shlex.quote(str(folder / 'ray'))}",
        ),
        ("This search beside another:", f"{UV_RUN}python tune/run_search.py --compare {run} OTHER"),
        (
            "Go on with what is unfinished; with --num-trials N, add trials:",
            f"{UV_RUN}python tune/run_search.py --resume {run}",
        ),
    ]


def from_here(folder: Path) -> Path:
    """Return a folder as commands name it.

    They are typed where the search was started, and the page may travel: no more of the machine's
    folders than that needs.
    """
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
