"""Which augmentation of the faces, and how much of it, lowers the error?

One knob per kind of transform, all of them searched together; the reference chose its transforms
one at a time. No oversampling, which uses augmentation for another purpose.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, REFERENCE

CONSTANTS = {"oversample_by": "none"}

POINTS = [{**REFERENCE, **CONSTANTS}, {**BEST_GUESS, **CONSTANTS}]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the learning rate, and the augmentation of every face."""
    trial.suggest_float("max_lr", 5e-4, 3e-2, log=True)
    return {**CONSTANTS, **suggest_augmentation(trial)}


def suggest_augmentation(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the geometry, the colour and what is taken out of a face."""
    trial.suggest_categorical("flip_p", [0.0, 0.5])
    trial.suggest_float("rotation_degrees", 0.0, 30.0)
    trial.suggest_float("translate", 0.0, 0.15)
    trial.suggest_float("scale", 0.0, 0.3)
    trial.suggest_float("perspective", 0.0, 0.4)
    # Brightness, contrast and saturation share one strength: three knobs would ask one question.
    jitter = trial.suggest_float("brightness", 0.0, 0.5)
    trial.suggest_float("grey_p", 0.0, 0.3)
    trial.suggest_float("erasing_p", 0.0, 0.5)
    return {"contrast": jitter, "saturation": jitter}
