"""A trained model in one file: averaged weights, configuration, and what it was trained on.

Unlike a checkpoint of training it holds nothing that only training needs, and like one it is read
without running code from it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utkface.checkpoint import load_checkpoint, save_checkpoint
from utkface.config import TrainConfig
from utkface.errors import UserError
from utkface.model import FaceModel, build_model

_KIND = "face model"


@dataclass(frozen=True)
class TrainedModel:
    """A model ready to predict, on the CPU and in evaluation mode.

    about: plain values that say where it comes from (run, seed, split, data, commit, ...);
    interval: what `utkface.intervals` made from validation residuals, None where there were none.
    """

    model: FaceModel
    config: TrainConfig
    about: dict[str, Any] = field(default_factory=dict)
    interval: dict[str, Any] | None = None


def averaged_model(state: dict[str, Any]) -> FaceModel:
    """Return the model that training validates, from the state of a `Training`."""
    model = build_model(TrainConfig.from_dict(state["config"]), "none")
    weights = state["average"]["weights"]  # None where the weights were not averaged
    model.load_state_dict(state["model"] if weights is None else weights)
    return model.eval()


def save_model(path: str | Path, trained: TrainedModel) -> None:
    """Write a model to ``path``, whole or not at all."""
    save_checkpoint(
        path,
        {
            "kind": _KIND,
            "config": trained.config.to_dict(),
            "model": trained.model.state_dict(),
            "about": trained.about,
            "interval": trained.interval,
        },
    )


def load_model(path: str | Path) -> TrainedModel:
    """Read a model; raises `UserError` for a file that is damaged, foreign, or of another kind."""
    state = load_checkpoint(path)
    if state.get("kind") != _KIND:
        raise UserError(
            f"{path} is a checkpoint of unfinished training, no model; give a model.pt that "
            "tune/retrain_best.py wrote"
        )
    try:
        config = TrainConfig.from_dict(state["config"])
        model = build_model(config, "none")
        model.load_state_dict(state["model"])
        about, interval = dict(state["about"]), state["interval"]
    except UserError:
        raise
    except Exception as error:  # a damaged file surfaces as whatever its reader trips over
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} does not hold the model it names ({reason}); copy it again, or use another"
        ) from error
    return TrainedModel(model.eval(), config, about, interval)
