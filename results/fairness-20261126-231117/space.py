"""What does it cost all faces to serve the worst age group and both genders better?

There are few old and few very young faces, and a model that ignores them is hardly worse on the
mean. So no single number decides here: the search minimises the mean error of age, the error of
gender and the error in the worst age group together, and ends with the trials between which only a
person can choose (the Pareto front). What may move it along: how often rare groups are drawn, how
wide the labels of old faces are, and how much gender weighs beside age.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, REFERENCE
from search_spaces.oversampling import suggest_sampling
from utkface.config import TrainConfig

OBJECTIVES = ("age_mae", "gender_error", "worst_group_mae")

_START = {**BEST_GUESS, "dldl_sigma_per_year": TrainConfig().dldl_sigma_per_year}

POINTS = [
    REFERENCE,
    _START,  # no oversampling
    {
        **_START,
        "oversample_by": "age",
        "oversample_balance": 0.3,
        "oversample_extra": 0.0,
        "intensive_strength": 0.5,
    },
]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the rate, how the losses weigh, and which groups are drawn more often."""
    trial.suggest_float("max_lr", 5e-4, 3e-2, log=True)
    trial.suggest_float("gender_weight", 0.1, 0.95)
    if trial.suggest_categorical("age_loss", ["l1", "dldl"]) == "dldl":
        trial.suggest_float("dldl_sigma_per_year", 0.0, 0.1)
    return suggest_sampling(trial)
