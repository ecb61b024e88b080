"""Does drawing the groups where a model was weak more often help them, and at what cost?

The groups and their weights come from a look at validation faces: train with
``python tune/retrain_best.py --part validation --top-k 1 --splits grouped``, then ``python -m
utkface.evaluation.weak_groups FOLDER`` writes the file that this space reads
(``results/group_weights.json``, or the one that UTKFACE_GROUP_WEIGHTS names). The search tunes how
strongly the weights count; strength 0, which draws every face once, is the first point, so that the
search answers the question itself.
"""

import json
import os
from pathlib import Path
from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, suggest_optimizer
from utkface.io import UserError


def read_group_weights() -> str:
    """Return the weights as text for `TrainConfig`; raises `UserError` where there are none."""
    path = Path(os.environ.get("UTKFACE_GROUP_WEIGHTS") or "results/group_weights.json")
    advice = "make it with `python -m utkface.evaluation.weak_groups FOLDER`"
    try:
        weights = json.loads(path.read_text(encoding="utf-8"))["group_weights"]
    except FileNotFoundError as error:
        raise UserError(
            f"there is no file {path} of group weights; {advice}, or name another by "
            "UTKFACE_GROUP_WEIGHTS"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a file of group weights ({error!r}); {advice}") from error
    if not weights:
        raise UserError(f"{path} names no weak group, so there is nothing to draw more often")
    return weights


# Read once: a file that changes during a search must not change its trials.
CONSTANTS = {"oversample_by": "weights", "group_weights": read_group_weights()}

_START = {**BEST_GUESS, **CONSTANTS, "intensive_strength": 0.5}
POINTS = [{**_START, "group_weights_power": power} for power in (0.0, 0.5, 1.0)]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the optimiser, and how strongly the weights count and the extra draws are altered."""
    suggest_optimizer(trial)
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_float("group_weights_power", 0.0, 1.5)
    trial.suggest_float("intensive_strength", 0.0, 1.5)
    return CONSTANTS
