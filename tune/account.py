"""What goes into a search, checked, and the record of it that ``search.json`` keeps."""

import contextlib
import dataclasses
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tune.cluster import Resources
from tune.confirm import confirmation_of
from tune.observer import Observer
from tune.options import REPOSITORY, SearchOptions
from tune.records import TrialRecord
from tune.report.page import write_report
from tune.run_folder import INTERRUPTED, RUNNING, RunFolder
from tune.spaces import Space, load_space
from tune.stopping import make_rule
from tune.study import SearchStudy
from utkface.config import TRAINING_VERSION, TrainConfig
from utkface.data import Faces, Split, find_source, load_faces, make_split, take_fraction
from utkface.io import UserError
from utkface.model import build_model

#: Versions that decide which numbers come out.
_DECISIVE = ("torch", "ray", "optuna")
_PACKAGES = ("ray", "optuna", "torch", "torchvision", "wandb", "numpy", "pandas", "pillow")


@dataclass(frozen=True)
class Prepared:
    """A search's ingredients, checked: nothing has been written or started yet."""

    options: SearchOptions
    space: Space
    faces: Faces
    split: Split

    def describe_data(self) -> dict[str, Any]:
        """Return what ``search.json`` says of the data."""
        return {
            **describe_faces(self.faces),
            "split_hash": self.split.hash,
            "num_train": len(self.split.train),
            "num_val": len(self.split.val),
            "num_test": len(self.split.test),
        }


def prepare(options: SearchOptions) -> Prepared:
    """Load and check space, weights and faces; raises `UserError` for whatever is wrong."""
    space = load_space(options.space, fixed=options.fixed)
    options = dataclasses.replace(
        options, objective=",".join(options.objectives if options.objective else space.objectives)
    )
    # Downloads the weights once, for all workers of this machine.
    build_model(TrainConfig.from_dict(options.fixed), options.weights)
    faces = load_faces(options.data or find_source(), options.image_size)
    split = make_split(faces.table, options.split)
    split = take_fraction(split, faces.table, options.fraction, options.seed)
    return Prepared(options, space, faces, split)


def describe_search(
    prepared: Prepared, folder: RunFolder, resources: Resources, hardware: dict[str, Any]
) -> dict[str, Any]:
    """Return the content of ``search.json`` for a search that is about to begin."""
    options, space = prepared.options, prepared.space
    rule = make_rule(
        options.scheduler, options.max_epochs, options.grace_epochs, options.reduction_factor
    )
    return {
        "name": folder.path.name,
        "space": space.name,
        "question": space.question,
        "space_signature": space.signature(),
        "points": space.points,
        "command": command_line(),
        "options": options.to_dict(),
        "objectives": options.objectives,
        "seed": options.seed,
        "created": now(),
        "ended": None,
        "wall_s": 0.0,
        "status": RUNNING,
        "num_trials": options.num_trials,
        "max_epochs": options.max_epochs,
        "image_size": options.image_size,
        "sampler": options.sampler,
        "scheduler": options.scheduler,
        "grace": options.grace_epochs,
        "reduction_factor": options.reduction_factor,
        "rungs": list(rule.epochs),
        "split": options.split,
        "weights": options.weights,
        "data": prepared.describe_data(),
        "concurrency": resources.concurrency,
        "cpus_per_trial": resources.cpus_per_trial,
        "gpus_per_trial": resources.gpus_per_trial,
        "memory_per_trial": resources.memory_per_trial,
        "hardware": {"machine": platform.machine(), **hardware},
        "versions": versions(),
        "commit": commit(),
        "training_version": TRAINING_VERSION,
    }


class RunningAccount(Observer):
    """Keeps ``search.json`` and the tables up to date, so that a search is readable at any time."""

    def __init__(self, folder: RunFolder, search: dict[str, Any], study: SearchStudy) -> None:
        self._folder, self._search, self._study = folder, search, study
        self._start_s = time.monotonic() - search["wall_s"]  # of earlier sessions

    def search_started(self, search: dict[str, Any]) -> None:
        """Write that the search is running."""
        self._folder.write_record(self._search)

    def trial_ended(self, record: TrialRecord) -> None:
        """Write the tables anew."""
        self._search["wall_s"] = round(time.monotonic() - self._start_s, 1)
        with contextlib.suppress(UserError):  # a full disk: the end of the search will tell
            self._folder.write_record(self._search)
            self._folder.write_tables(self._study.records(), self._study.objectives)

    @contextlib.contextmanager
    def kept_if_the_disk_is_full(self) -> Iterator[None]:
        """Say as much as a full disk lets be said of a search that ends because of it."""
        try:
            yield
        except UserError:
            with contextlib.suppress(UserError, OSError):
                self.finish(INTERRUPTED)
            raise

    def finish(self, status: str) -> Path:
        """Write everything that follows from the study; return the report's path."""
        wall_s = round(time.monotonic() - self._start_s, 1)
        self._search |= {"status": status, "ended": now(), "wall_s": wall_s}
        records = self._study.records()
        self._folder.write_record(self._search)
        self._folder.write_tables(records, self._study.objectives, confirmation_of(self._search))
        report = self._folder.path / "report.html"
        return write_report(self._search, records, self._study.study, report)


def now() -> str:
    """Return the local time in ISO 8601, to the second."""
    return datetime.now().isoformat(timespec="seconds")


def describe_faces(faces: Faces) -> dict[str, Any]:
    """Return what a record says of the faces, however they are split."""
    return {
        "source": faces.source,
        "fingerprint": faces.fingerprint,
        "is_demo": faces.is_demo,
        "num_faces": len(faces.table),
        "num_rejected": len(faces.rejected),
    }


def command_line() -> str:
    """Return the command that this process was started with."""
    return shlex.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    packages = {package: metadata.version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **packages}


def list_code_changes(record: dict[str, Any]) -> list[str]:
    """Name what a run that goes on is carried out with now that it was not when it began."""
    now_ = {"commit": commit(), **{name: versions()[name] for name in _DECISIVE}}
    then = {"commit": record.get("commit"), **record.get("versions", {})}
    return [
        f"{name} {then.get(name)} then, {value} now"
        for name, value in now_.items()
        if then.get(name) != value
    ]


def refuse_other_training(record: dict[str, Any], what_to_do: str) -> None:
    """Raise `UserError` where a run's epochs are not what they are now."""
    version = record.get("training_version", 1)
    if version != TRAINING_VERSION:
        raise UserError(
            f"{record.get('name')} was made when an epoch meant another amount of training "
            f"(training version {version}, now {TRAINING_VERSION}), so nothing new can be compared "
            f"with it; {what_to_do}"
        )


def commit() -> str | None:
    """Return the code's git commit, marked where it was edited since; None outside a checkout."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
