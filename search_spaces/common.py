"""What the spaces share: two starting configurations, and parameters that most questions need.

Both configurations leave out the fields that do not apply to them (the reference has no age bins,
our guess no oversampling): a point of a space names what its condition reaches and nothing else.
"""

from typing import Any

from optuna.trial import BaseTrial

from utkface.config import TrainConfig

#: The reference's published best configuration (its README and notebooks); it trained 17 + 2 epochs
#: at 224 px. No averaging of weights, no label smoothing, no flip, no shift, no scaling.
REFERENCE: dict[str, Any] = {
    "backbone": "mobilenet_v3_small",
    "pretrained": True,
    "dropout": 0.1,
    "age_loss": "l1",
    "gender_weight": 0.9,
    "label_smoothing": 0.0,
    "head_l1": 1e-4,
    "batch_size": 256,
    "max_lr": 0.01232,
    "weight_decay": 1.93e-4,
    "clip_norm": 0.0,
    "ema_decay": 0.0,
    "freeze_epochs": 0,
    "schedule": "one_cycle",
    "pct_start": 0.367,
    "div_factor": 24.0,
    "final_div_factor": 2873.0,
    "flip_p": 0.0,
    "rotation_degrees": 10.0,
    "translate": 0.0,
    "scale": 0.0,
    "perspective": 0.2,
    "perspective_p": 0.2,
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "hue": 0.1,
    "jitter_p": 1.0,
    "grey_p": 0.1,
    "blur_p": 0.0,
    "sharpness_p": 0.0,
    "autocontrast_p": 0.0,
    "noise_std": 0.0,
    "erasing_p": 0.1,
    "oversample_by": "age",
    "oversample_balance": 0.3,
    "oversample_extra": 0.1,
    "intensive_strength": 1.0,
}

_SAMPLING = ("oversample_balance", "oversample_extra", "intensive_strength")
_DEFAULTS = TrainConfig().to_dict()

#: Our best guess: the defaults of `TrainConfig`, by the names of the reference.
BEST_GUESS: dict[str, Any] = {name: _DEFAULTS[name] for name in REFERENCE if name not in _SAMPLING}

#: What `BEST_GUESS` needs beside it where a space searches the age loss.
DLDL: dict[str, Any] = {
    name: _DEFAULTS[name] for name in ("dldl_sigma_years", "dldl_sigma_per_year", "dldl_l1_weight")
}

#: Faces as they are: every part of the basic pipeline off.
NO_AUGMENTATION: dict[str, Any] = dict.fromkeys(
    (
        "flip_p", "rotation_degrees", "translate", "scale", "perspective", "jitter_p", "grey_p",
        "blur_p", "sharpness_p", "autocontrast_p", "noise_std", "erasing_p",
    ),
    0.0,
)  # fmt: skip

#: The four settings that the reference published results of, for ``--config reference:…``.
REFERENCE_SETTINGS: dict[str, dict[str, Any]] = {
    "no-augmentation": {**REFERENCE, **NO_AUGMENTATION, "oversample_by": "none"},
    "basic-augmentation": {**REFERENCE, "oversample_by": "none"},
    "oversampling": {**REFERENCE, "intensive_pipeline": "reference"},
    "from-scratch": {**REFERENCE, "intensive_pipeline": "reference", "pretrained": False},
}


def suggest_optimizer(trial: BaseTrial) -> None:
    """Suggest the learning rate and the weight decay, around both starting configurations."""
    trial.suggest_float("max_lr", 5e-4, 3e-2, log=True)
    trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
