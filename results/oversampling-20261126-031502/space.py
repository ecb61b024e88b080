"""Does drawing rare ages more often, through stronger augmentation, lower the error?

The groups are ages, or ages within gender or race; "none" is among the choices and the first
points, so that the search answers the question itself.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, REFERENCE, suggest_optimizer

POINTS = [
    REFERENCE,
    {
        **BEST_GUESS,
        "oversample_by": "age",
        "oversample_balance": 0.2,
        "oversample_extra": 0.0,
        "intensive_strength": 0.5,
    },
    BEST_GUESS,  # no oversampling, all else equal
]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the optimiser, and how the extra draws are spread and augmented."""
    suggest_optimizer(trial)
    trial.suggest_float("dropout", 0.0, 0.5)
    return suggest_sampling(trial)


def suggest_sampling(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the groups and, where there are any, the number and strength of the extra draws."""
    groups = trial.suggest_categorical("oversample_by", ["none", "age", "age_gender", "age_race"])
    if groups != "none":
        trial.suggest_float("oversample_balance", 0.0, 1.0)
        trial.suggest_float("oversample_extra", 0.0, 0.2)
        trial.suggest_float("intensive_strength", 0.0, 1.5)
    return {}
