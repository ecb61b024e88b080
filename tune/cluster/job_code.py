"""The code travels with the job: a cluster's nodes need its dependencies, not the project."""

from pathlib import Path
from typing import Any

from tune.options import REPOSITORY

_PACKAGES = ("tune", "utkface", "search_spaces")
#: Nothing but Python's own files: no faces, caches, results or environment lie in a package.
_EXCLUDES = ["__pycache__", "*.pyc", "*.npy", "*.pt", "*.pth"]


def job_code(root: Path = REPOSITORY) -> dict[str, Any]:
    """Return Ray's runtime environment that takes the project's packages to every worker.

    A user's own space stays behind: configurations are made by the driver, and travel as numbers.
    """
    return {"py_modules": [str(root / name) for name in _PACKAGES], "excludes": _EXCLUDES}
