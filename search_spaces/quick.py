"""Can a few minutes on a laptop find a learning rate that works?

For a first look, as with ``--data demo``: some hundred faces make a dozen steps an epoch, so the
batches are small and the weights are not averaged, since a mean over hundreds of steps would still
hold the start.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, REFERENCE

CONSTANTS = {"ema_decay": 0.0, "oversample_by": "none"}

POINTS = [
    {**REFERENCE, **CONSTANTS, "batch_size": 32},
    {**BEST_GUESS, **CONSTANTS, "batch_size": 32},
]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest what matters most in a short run."""
    trial.suggest_float("max_lr", 5e-4, 3e-2, log=True)
    trial.suggest_categorical("batch_size", [32, 64])
    trial.suggest_float("dropout", 0.0, 0.3)
    trial.suggest_categorical("age_loss", ["l1", "dldl"])
    trial.suggest_float("gender_weight", 0.3, 0.95)
    return CONSTANTS
