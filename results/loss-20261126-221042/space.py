"""Which age loss suits noisy labels, and how much should the gender loss weigh beside it?

Two labels of one photograph differ by four years on average: L1 and Huber forgive outliers, and
DLDL spreads each label over neighbouring ages.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, DLDL, REFERENCE

POINTS = [
    REFERENCE,
    {**BEST_GUESS, **DLDL},
    # Losses in years are some ten times those in nats, so the gender weighs as in the reference.
    {**BEST_GUESS, "age_loss": "huber", "huber_delta_years": 5.0, "gender_weight": 0.9},
]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the learning rate and the losses."""
    trial.suggest_float("max_lr", 5e-4, 3e-2, log=True)
    suggest_losses(trial)
    return {}


def suggest_losses(trial: BaseTrial) -> None:
    """Suggest the age loss with its own parameters, and what is added to it."""
    age_loss = trial.suggest_categorical("age_loss", ["l1", "huber", "dldl"])
    if age_loss == "huber":
        trial.suggest_float("huber_delta_years", 1.0, 20.0, log=True)
    elif age_loss == "dldl":
        trial.suggest_float("dldl_sigma_years", 0.5, 4.0, log=True)
        trial.suggest_float("dldl_sigma_per_year", 0.0, 0.1)
        trial.suggest_float("dldl_l1_weight", 0.0, 1.0)
    trial.suggest_float("gender_weight", 0.1, 0.98)
    trial.suggest_float("label_smoothing", 0.0, 0.2)
    trial.suggest_float("head_l1", 0.0, 1e-3)
