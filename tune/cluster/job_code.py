"""The code travels with the job: a cluster's nodes need its dependencies, not the project."""

from pathlib import Path
from typing import Any

from tune.options import REPOSITORY
from utkface.io import UserError

_PACKAGES = ("tune", "utkface", "search_spaces")
#: Nothing but Python's own files: no faces, caches, results or environment lie in a package.
_EXCLUDES = ["__pycache__", "*.pyc", "*.npy", "*.pt", "*.pth"]


def job_code(root: Path = REPOSITORY) -> dict[str, Any]:
    """Return Ray's runtime environment that takes the project's packages to every worker.

    A user's own space stays behind: configurations are made by the driver, and travel as numbers.
    In a job that was submitted with the project as its working folder the workers have it already.
    """
    if _is_jobs_copy(root):
        return {}
    return {"py_modules": [str(root / name) for name in _PACKAGES], "excludes": _EXCLUDES}


def check_results(results: Path, root: Path = REPOSITORY) -> None:
    """Refuse to keep results in the copy of the project that `ray job submit` unpacks for a job.

    Ray deletes that copy when it needs the room, and it is hard to find until then.
    """
    if _is_jobs_copy(root) and results.resolve().is_relative_to(root):
        raise UserError(
            f"--results {results} lies in the submitted job's own copy of the code, which Ray "
            "deletes; name a folder that stays, such as /home/ray/results"
        )


def _is_jobs_copy(root: Path) -> bool:
    """Tell whether a folder is where Ray unpacked a submitted job's working folder."""
    return "runtime_resources" in root.parts
