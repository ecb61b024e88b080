"""By what a result came about: the command, the commit, the versions, the faces, the time."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from typing import Any

from tune.options import REPOSITORY
from tune.records.files import RunRecord
from tune.records.run_folder import RUNNING, RunFolder
from utkface.config import TRAINING_VERSION
from utkface.data import Faces
from utkface.evaluation.facts import DataFacts
from utkface.io import UserError

#: Versions that decide which numbers come out.
_DECISIVE = ("torch", "ray", "optuna")
_PACKAGES = ("ray", "optuna", "torch", "torchvision", "wandb", "numpy", "pandas", "pillow")


def now() -> str:
    """Return the local time in ISO 8601, to the second."""
    return datetime.now().isoformat(timespec="seconds")


def describe_faces(faces: Faces) -> DataFacts:
    """Return what a record says of the faces, however they are split."""
    return DataFacts(
        source=faces.source,
        fingerprint=faces.fingerprint,
        is_demo=faces.is_demo,
        num_faces=len(faces.table),
        num_rejected=len(faces.rejected),
    )


def about_run(folder: RunFolder) -> dict[str, Any]:
    """Return what the record of any run says when it is about to begin."""
    return {
        "name": folder.path.name,
        "command": command_line(),
        "created": now(),
        "status": RUNNING,
        "versions": versions(),
        "commit": commit(),
        "training_version": TRAINING_VERSION,
    }


def command_line() -> str:
    """Return the command that this process was started with."""
    return shlex.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    packages = {package: metadata.version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **packages}


def list_code_changes(record: RunRecord) -> list[str]:
    """Name what a run that goes on is carried out with now that it was not when it began."""
    now_ = {"commit": commit(), **{name: versions()[name] for name in _DECISIVE}}
    then = {"commit": record.commit, **record.versions}
    return [
        f"{name} {then.get(name)} then, {value} now"
        for name, value in now_.items()
        if then.get(name) != value
    ]


def refuse_other_training(record: RunRecord, what_to_do: str) -> None:
    """Raise `UserError` where a run's epochs are not what they are now."""
    if record.training_version != TRAINING_VERSION:
        raise UserError(
            f"{record.name} was made when an epoch meant another amount of training "
            f"(training version {record.training_version}, now {TRAINING_VERSION}), so nothing new "
            f"can be compared with it; {what_to_do}"
        )


def refuse_another_device(what: str, then_gpus: float, now_gpus: float, or_else: str) -> None:
    """Raise `UserError` where ``what`` is compared would come from CPUs and from GPUs.

    ``then_gpus``, ``now_gpus``: what each training had, and would have; ``or_else``: a way out.
    """
    then, now_ = ("GPU" if gpus else "CPU" for gpus in (then_gpus, now_gpus))
    if then != now_:
        raise UserError(
            f"{what} ran on a {then}, these would run on a {now_}, whose numbers differ; "
            f"go on on a {then}, or {or_else}"
        )


def commit() -> str | None:
    """Return the code's git commit, marked where it was edited since; None outside a checkout."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
