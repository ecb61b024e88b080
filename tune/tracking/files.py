"""Files that go to W&B with a run, as artifacts."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_DATA_DIR = "WANDB_DATA_DIR"  # W&B's own variable


@contextlib.contextmanager
def copies_in(wandb_folder: Path) -> Iterator[None]:
    """Have W&B keep its copies of what is to be sent in the run folder, as it keeps all else.

    It would leave them in the user's home, where those of offline runs pile up for ever.
    """
    if _DATA_DIR in os.environ:
        yield
        return
    os.environ[_DATA_DIR] = str(wandb_folder)
    try:
        yield
    finally:
        del os.environ[_DATA_DIR]


def log_file(run: Any, name: str, kind: str, path: Path, about: Mapping[str, Any]) -> None:
    """Add a file to a run as an artifact; ``about`` is what W&B shows beside it."""
    import wandb

    artifact = wandb.Artifact(name, type=kind, metadata=dict(about))
    artifact.add_file(str(path))  # W&B takes a copy
    run.log_artifact(artifact)
