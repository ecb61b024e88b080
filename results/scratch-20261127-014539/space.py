"""How close does training from random weights come to starting from ImageNet's?

The optimiser is searched as in the baseline, which the random start needs more than any other,
with the default augmentation and two knobs that keep the first epochs stable.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, REFERENCE, suggest_optimizer

CONSTANTS = {"pretrained": False}

POINTS = [{**REFERENCE, **CONSTANTS}, {**BEST_GUESS, **CONSTANTS}]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest optimiser, warm-up, clipping and regularisers."""
    suggest_optimizer(trial)
    trial.suggest_categorical("batch_size", [64, 128, 256])
    trial.suggest_float("pct_start", 0.1, 0.5)
    trial.suggest_categorical("clip_norm", [0.0, 1.0, 5.0])
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_float("erasing_p", 0.0, 0.5)
    return CONSTANTS
