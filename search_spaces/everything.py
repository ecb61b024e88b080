"""Which of all hyperparameters matter, and what do good configurations have in common?

Nearly the union of the other spaces' questions: random weights, the plateau schedule, the ends of
one-cycle's, clipping and weak groups are left out. Searched with
``--sampler random --scheduler none`` it gives the learning curves that early stopping and samplers
are compared on (``results/curves``).
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.augmentation import suggest_augmentation
from search_spaces.common import BEST_GUESS, DLDL, REFERENCE, suggest_optimizer
from search_spaces.loss import suggest_losses
from search_spaces.oversampling import suggest_sampling

POINTS = [REFERENCE, {**BEST_GUESS, **DLDL}]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest optimiser, schedule, averaging, losses, augmentation and oversampling."""
    suggest_optimizer(trial)
    trial.suggest_categorical("batch_size", [64, 128, 256])
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_categorical("ema_decay", [0.0, 0.998])
    trial.suggest_int("freeze_epochs", 0, 1)
    schedule = trial.suggest_categorical("schedule", ["one_cycle", "constant", "step"])
    if schedule == "one_cycle":
        trial.suggest_float("pct_start", 0.1, 0.5)
    elif schedule == "step":
        trial.suggest_int("step_epochs", 1, 6)
        trial.suggest_float("step_factor", 0.1, 0.9)
    suggest_losses(trial)
    return {**suggest_augmentation(trial), **suggest_sampling(trial)}
