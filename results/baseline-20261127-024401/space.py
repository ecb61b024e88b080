"""How well does the small network do on the faces as they are, without any augmentation?

What every other space has to beat: the optimiser and the regularisers are searched, and neither
augmentation nor oversampling is used.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, NO_AUGMENTATION, REFERENCE, suggest_optimizer

CONSTANTS = {**NO_AUGMENTATION, "oversample_by": "none"}

POINTS = [{**REFERENCE, **CONSTANTS}, {**BEST_GUESS, **CONSTANTS}]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest optimiser, regularisers and the balance of the two tasks."""
    suggest_optimizer(trial)
    trial.suggest_categorical("batch_size", [64, 128, 256])
    trial.suggest_float("pct_start", 0.1, 0.5)
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_float("label_smoothing", 0.0, 0.2)
    trial.suggest_float("gender_weight", 0.1, 0.95)
    return CONSTANTS
