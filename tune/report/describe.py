"""What the report says of a search in words: what was asked, on what, and how to go on."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces.common import REFERENCE
from tune.records import TrialRecord, describe_objectives, search_objectives
from tune.report.analysis import find_point, last_value
from utkface.evaluation.report.text import show, show_duration, show_fields, show_fixed

#: What the page says on top about a search that is not finished, by its status.
NOTICES = {
    "running": "The search is still running: this is how it stood when the page was written.",
    "interrupted": "The search was interrupted before all its trials were done; --resume goes on "
    "with it (last section).",
    "failed": "The search gave up, as its trials kept failing: see Failed trials.",
}

#: A space changes those of the reference's settings that it asks about, but not its optimiser.
_REFERENCE_MARKS = ("max_lr", "weight_decay")


def describe_search(search: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was asked and what it ran on, as names and texts."""
    data = search.get("data") or {}
    faces = f"{show(data.get('num_train'))} to train on, {show(data.get('num_val'))} to validate on"
    faces += f", of {show(data.get('num_faces'))} ({show(data.get('num_rejected'))} files rejected)"
    return [
        ("seed", show(search.get("seed"))),
        ("began", show(search.get("created")).replace("T", " ")),
        ("wall time", show_duration(search.get("wall_s"))),
        ("ended", show(search.get("ended") or search.get("status")).replace("T", " ")),
        ("trials asked for", show(search.get("num_trials"))),
        ("epochs per trial", show(search.get("max_epochs"))),
        ("objective", describe_objectives(search_objectives(search))),
        ("sampler", show(search.get("sampler"))),
        ("from earlier searches", _taken(search)),
        ("early stopping", _stopping(search)),
        ("data", show(data.get("source"))),
        ("faces", faces),
        ("image size", f"{show(search.get('image_size'))} px"),
        ("split", show(search.get("split"))),
        ("first weights", show(search.get("weights"))),
        ("data fingerprint", show(data.get("fingerprint"))),
        ("hardware", show_fields(search.get("hardware"))),
        ("versions", show_fields(search.get("versions"))),
        ("commit", show(search.get("commit"))),
    ]


def _taken(search: Mapping[str, Any]) -> str:
    """Return what the search began with, a dash for nothing."""
    return "; ".join((search.get("warm_start") or {}).get("account", [])) or "–"


def _stopping(search: Mapping[str, Any]) -> str:
    """Return the rule of early stopping and when it judged."""
    scheduler, epochs = str(search.get("scheduler") or "–"), search.get("rungs")
    if not epochs:
        return scheduler
    if scheduler == "median":
        return f"median, the clearly poor end after epochs {epochs[0]} to {epochs[-1]}"
    within = " of its bracket" if scheduler == "hyperband" else ""
    goes_on = f"1 in {search.get('reduction_factor')}{within} goes on"
    return f"{scheduler}, {goes_on} after epochs {', '.join(map(str, epochs))}"


def describe_points(
    search: Mapping[str, Any],
    records: Sequence[TrialRecord],
    best: TrialRecord | None,
    metric: str,
) -> list[str]:
    """Say how the trial of each of the space's starting points fared, by its last ``metric``."""
    texts = []
    for point in search.get("points") or []:
        record = find_point(point, records)
        if record is None:
            continue
        is_reference = all(point.get(name) == REFERENCE[name] for name in _REFERENCE_MARKS)
        trial = f"trial {record.number}" + (" (the reference's settings)" if is_reference else "")
        if best and record.number == best.number:
            texts.append(f"{trial} is that best one")
            continue
        value = show_fixed(last_value(record, metric), 4)
        ending = {
            "COMPLETE": f"reached {value}",
            "PRUNED": f"stood at {value} when it was stopped after epoch {len(record.epochs)}",
            "FAIL": "failed",
            "RUNNING": "is unfinished",
        }
        texts.append(f"{trial} {ending[record.state]}")
    return texts


def list_commands(folder: Path) -> list[tuple[str, str]]:
    """Return how to look further and go on, as purposes and command lines."""
    # Commands are typed where the search was started, and the page may travel: no more of the
    # machine's folders than that needs.
    here = Path.cwd()
    folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
    run, journal = shlex.quote(str(folder)), shlex.quote(str(folder / "study.journal"))
    return [
        ("The same study, interactively:", f"optuna-dashboard {journal}"),
        (
            "Every trial's curve, once TensorBoard is installed:",
            f"tensorboard --logdir {shlex.quote(str(folder / 'ray'))}",
        ),
        ("This search beside another:", f"python tune/run_search.py --compare {run} OTHER"),
        ("Go on with what is unfinished:", f"python tune/run_search.py --resume {run}"),
        (
            "Train the best with several seeds, and measure them on the test part:",
            f"python tune/retrain_best.py --search {run}",
        ),
    ]
