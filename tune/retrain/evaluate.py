"""Judges trained models on the part of the faces that was kept for it."""

from typing import Any

from tune.checkpoints import CheckpointStore
from tune.retrain.folder import RetrainFolder
from tune.retrain.plan import Plan
from tune.retrain.session import JobRecord


def evaluate(
    plan: Plan,
    folder: RetrainFolder,
    record: dict[str, Any],
    trained: list[JobRecord],
    checkpoints: CheckpointStore,
) -> list[str]:
    """Return the lines to print at the end."""
    return [f"{len(trained)} models are trained"]
