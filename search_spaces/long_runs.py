"""Which settings suit runs that are long enough to learn the labels' noise by heart?

Short searches found higher rates, narrower distributions over ages and more weight for gender than
our best guess has. They hardly reward what holds a network back, as it has not fitted its faces by
then. Here both are searched together; give it 12 epochs or more, and as many pixels as time allows.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.augmentation import suggest_augmentation
from search_spaces.common import DLDL, suggest_optimizer

CONSTANTS = {
    "age_loss": "dldl",
    "dldl_estimate": "median",
    "perspective_p": 0.3,
    "hue": 0.02,
    "blur_p": 0.1,
}

#: `docs/recipes/strong.json`, written by hand: more augmentation, decay and dropout.
_STRONG = {
    **CONSTANTS,
    **DLDL,
    "batch_size": 128,
    "max_lr": 0.004,
    "weight_decay": 0.04,
    "dropout": 0.3,
    "ema_decay": 0.999,
    "pct_start": 0.25,
    "gender_weight": 0.7,
    "label_smoothing": 0.05,
    "flip_p": 0.5,
    "rotation_degrees": 15.0,
    "translate": 0.06,
    "scale": 0.15,
    "perspective": 0.1,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "grey_p": 0.1,
    "erasing_p": 0.2,
}

POINTS = [
    _STRONG,
    # What `loss` and `fairness` found, in runs of 8 epochs at 64 px.
    {**_STRONG, "max_lr": 0.009, "dldl_sigma_years": 0.65, "dldl_sigma_per_year": 0.046},
    {**_STRONG, "max_lr": 0.012, "dldl_sigma_per_year": 0.022, "gender_weight": 0.75},
]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the optimiser, averaging, how the losses weigh, and the augmentation."""
    suggest_optimizer(trial)
    trial.suggest_categorical("batch_size", [128, 256])
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_categorical("ema_decay", [0.998, 0.999])
    trial.suggest_float("pct_start", 0.1, 0.5)
    trial.suggest_float("dldl_sigma_years", 0.5, 2.0, log=True)
    trial.suggest_float("dldl_sigma_per_year", 0.0, 0.1)
    trial.suggest_float("dldl_l1_weight", 0.0, 1.0)
    trial.suggest_float("gender_weight", 0.4, 0.9)
    trial.suggest_float("label_smoothing", 0.0, 0.2)
    return {**CONSTANTS, **suggest_augmentation(trial)}
