"""`TrainConfig`: every hyperparameter of a training run, named once and validated.

The names are exactly those that a search space may suggest. Where a run happens (paths, devices,
workers, number of trials) is a matter of command-line options and never stands here. Only the
standard library is imported, so that a configuration can be checked anywhere at no cost.
"""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, get_type_hints

from utkface.io import UserError

#: Fields that a command sets for a whole search (`--max-epochs`, `--image-size`, `--seed`): trials
#: that differed in them could not be compared rung by rung, so no search space may suggest them.
SET_BY_COMMAND = {
    "epochs": "--max-epochs",
    "image_size": "--image-size",
    "seed": "--seed",
    "teacher_weight": "retrain_best.py --teacher-weight",  # no search has a teacher
}

#: Raised when the same configuration comes to mean another training: runs of different versions
#: cannot be compared. 2: an epoch is as many draws as there are training faces, whatever is
#: oversampled.
TRAINING_VERSION = 2

BACKBONES = (
    "mobilenet_v3_small mobilenet_v3_large mobilenet_v2 efficientnet_b0 efficientnet_b1 "
    "efficientnet_b2 efficientnet_b3 efficientnet_v2_s convnext_tiny convnext_small resnet18 "
    "resnet34 resnet50 resnet101 resnext50_32x4d wide_resnet50_2 vgg11_bn vgg16 vgg16_bn"
)
TIMM = "timm:"  # before the name of a backbone of that package

#: One part of `TrainConfig.group_weights`, which `utkface.sampling` reads.
_GROUP_WEIGHT = (
    r"(?:\d{1,3}-\d{1,3}|\d{1,3}\+|all)(?: (?:male|female))?"
    r"(?: (?:white|black|asian|indian|other))?=[1-9]\d?(?:\.\d{1,3})?"
)

#: Titles of the parts that the fields fall into, by the first field of each.
SECTIONS = {
    "epochs": "Run",
    "backbone": "Model",
    "age_loss": "Loss: gender_weight * gender + (1 - gender_weight) * age + head_l1 * |heads|",
    "batch_size": "Optimiser (AdamW)",
    "schedule": "Schedule",
    "flip_p": "Augmentation of every training face",
    "oversample_by": "Oversampling",
}


def _between(default: float, low: float, high: float, meaning: str) -> Any:
    """Declare a number with its inclusive range."""
    return field(default=default, metadata={"low": low, "high": high, "meaning": meaning})


def _text(default: str, options: str, meaning: str, pattern: str = "(?!)", other: str = "") -> Any:
    """Declare a text: one of some names, or ``other``, which a regular expression describes."""
    metadata = {"options": options.split(), "pattern": pattern, "other": other, "meaning": meaning}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run's hyperparameters; the defaults are this project's best guess before search.

    Raises `UserError` with the field, its value and what is allowed when a value has the wrong
    type, lies outside its range, or contradicts another field.
    """

    # Set by the command, the same for every trial of a search.
    epochs: int = _between(12, 1, 1000, "passes over the training faces")
    image_size: int = _between(128, 32, 224, "pixels, square")
    initial_image_size: int = _between(
        0, 0, 224, "of the first epoch, growing to image_size; 0: image_size throughout"
    )
    seed: int = _between(0, 0, 2**31 - 1, "of weights, order and augmentation")

    backbone: str = _text(
        "mobilenet_v3_small",
        BACKBONES,
        "the network without its classifier, torchvision's or with the extra timm's",
        TIMM + r"[a-z0-9_.]+",
        f"{TIMM}NAME",
    )
    pretrained: bool = field(
        default=True, metadata={"meaning": "False: train from scratch, whatever --weights says"}
    )
    dropout: float = _between(0.2, 0.0, 0.9, "before the two heads")

    age_loss: str = _text(
        "dldl", "l1 huber dldl", "dldl: a distribution over ages; else years directly"
    )
    huber_delta_years: float = _between(5.0, 0.1, 50.0, "huber: where it turns linear")
    dldl_sigma_years: float = _between(1.0, 0.1, 20.0, "dldl: the label's width at age 0")
    dldl_sigma_per_year: float = _between(0.04, 0.0, 1.0, "dldl: how the width grows with age")
    dldl_l1_weight: float = _between(0.1, 0.0, 10.0, "dldl: weight of |expectation - age|")
    dldl_estimate: str = _text(
        "mean", "mean median", "dldl: of the distribution, the age that is answered"
    )
    gender_weight: float = _between(0.5, 0.0, 1.0, "share of the gender loss")
    label_smoothing: float = _between(0.05, 0.0, 0.5, "of the gender target")
    teacher_weight: float = _between(
        0.0, 0.0, 1.0, "share of a teacher's prediction in the targets"
    )
    head_l1: float = _between(0.0, 0.0, 1.0, "weight of the heads' L1 norm")

    batch_size: int = _between(128, 2, 8192, "faces a step")
    max_lr: float = _between(3e-3, 1e-7, 1.0, "the highest learning rate")
    weight_decay: float = _between(0.02, 0.0, 10.0, "not of norms and biases")
    clip_norm: float = _between(0.0, 0.0, 1000.0, "of the gradient; 0: no clipping")
    ema_decay: float = _between(
        0.998, 0.0, 0.99999, "of the averaged weights that are validated; 0: the raw weights"
    )
    freeze_epochs: int = _between(0, 0, 1000, "at first, in which the heads alone are trained")
    amp: str = _text(
        "auto", "auto off fp16 bf16", "mixed precision on CUDA, auto: bf16 if the card has it"
    )

    schedule: str = _text(
        "one_cycle",
        "one_cycle plateau step constant",
        "of the learning rate; one_cycle also moves AdamW's beta1, from 0.95 to 0.85 and back",
    )
    pct_start: float = _between(0.3, 0.0, 1.0, "one_cycle: share of the steps spent warming up")
    div_factor: float = _between(25.0, 1.0, 1e6, "one_cycle: max_lr / first rate")
    final_div_factor: float = _between(1e4, 1.0, 1e9, "one_cycle: first rate / last rate")
    plateau_factor: float = _between(0.3, 0.001, 0.999, "plateau: the rate is multiplied by it")
    plateau_patience_epochs: int = _between(2, 0, 1000, "plateau: epochs without improvement")
    step_epochs: int = _between(4, 1, 1000, "step: epochs between two cuts of the rate")
    step_factor: float = _between(0.3, 0.001, 0.999, "step: the rate is multiplied by it")

    # Zero switches a part off.
    flip_p: float = _between(0.5, 0.0, 1.0, "probability of a horizontal flip")
    rotation_degrees: float = _between(10.0, 0.0, 180.0, "uniform in ±")
    translate: float = _between(0.05, 0.0, 0.5, "uniform in ±, share of the side")
    scale: float = _between(0.1, 0.0, 0.9, "uniform in 1 ±")
    perspective: float = _between(0.0, 0.0, 0.9, "torchvision's distortion_scale")
    perspective_p: float = _between(0.2, 0.0, 1.0, "its probability")
    brightness: float = _between(0.2, 0.0, 1.0, "uniform in 1 ±")
    contrast: float = _between(0.2, 0.0, 1.0, "uniform in 1 ±")
    saturation: float = _between(0.2, 0.0, 1.0, "uniform in 1 ±")
    hue: float = _between(0.0, 0.0, 0.5, "uniform in ±, share of the colour circle")
    jitter_p: float = _between(1.0, 0.0, 1.0, "probability of these four")
    grey_p: float = _between(0.1, 0.0, 1.0, "probability of a grey image")
    blur_p: float = _between(0.0, 0.0, 1.0, "probability of a Gaussian blur")
    sharpness_p: float = _between(0.0, 0.0, 1.0, "probability of sharpening")
    autocontrast_p: float = _between(0.0, 0.0, 1.0, "probability of full contrast")
    noise_std: float = _between(0.0, 0.0, 0.5, "of pixel values in [0, 1]")
    erasing_p: float = _between(0.1, 0.0, 1.0, "probability of an erased rectangle")

    # Beside one draw of every face, a group with n faces gets (largest - n) * balance
    # + largest * extra more, all of them through the intensive augmentation. By weights, it is
    # drawn weight ** power times. An epoch stays as long as there are faces (`utkface.sampling`).
    oversample_by: str = _text(
        "none", "none age age_gender age_race weights", "whose rare groups are drawn more often"
    )
    oversample_balance: float = _between(
        0.3, 0.0, 1.0, "share of the gap to the largest group; 1: every group as often as it"
    )
    oversample_extra: float = _between(
        0.0, 0.0, 1.0, "draws for every group beyond that, share of the largest group"
    )
    group_weights: str = _text(
        "",
        "",
        "weights: as `python -m utkface.evaluation.weak_groups` finds them",
        rf"(?:{_GROUP_WEIGHT}(?:, {_GROUP_WEIGHT})*)?",
        "ages, perhaps gender and race, and a weight from 1 to 99.999 for each group, "
        "as in '80+ female=1.62, 0-3=1.5, all black=1.2'",
    )
    group_weights_power: float = _between(1.0, 0.0, 4.0, "weights: exponent; 0: every face once")
    oversample_max_repeats: float = _between(
        20.0, 1.0, 1000.0, "draws of a face at most, for one of the others"
    )
    intensive_pipeline: str = _text(
        "own", "own reference", "reference: its code's, and then the basic augmentation"
    )
    intensive_strength: float = _between(1.0, 0.0, 2.0, "own: of the extra draws' augmentation")

    def __post_init__(self) -> None:
        """Check every field, then what must hold between them."""
        types = get_type_hints(type(self))
        for spec in dataclasses.fields(self):
            value = _checked(spec, types[spec.name], getattr(self, spec.name))
            object.__setattr__(self, spec.name, value)
        if 0 < self.initial_image_size < 32 or self.initial_image_size > self.image_size:
            raise UserError(
                f"initial_image_size={self.initial_image_size} does not grow to image_size="
                f"{self.image_size}; allowed: 32 to {self.image_size}, or 0 for no growth"
            )
        if self.freeze_epochs >= self.epochs and self.freeze_epochs > 0:
            raise UserError(
                f"freeze_epochs={self.freeze_epochs} leaves none of epochs={self.epochs} to train "
                "the backbone; allowed: fewer than epochs"
            )
        for first, last in re.findall(r"(\d+)-(\d+)", self.group_weights):
            if int(first) > int(last):
                raise UserError(
                    f"group_weights={self.group_weights!r} has ages that run backwards, "
                    f"{first}-{last}; write {last}-{first}"
                )
        if self.oversample_by == "weights" and not self.group_weights:
            raise UserError(
                "oversample_by='weights' needs group_weights, which is empty; give weights as "
                "`python -m utkface.evaluation.weak_groups` finds them"
            )
        if self.intensive_pipeline == "reference" and self.intensive_strength != 1:
            raise UserError(
                f"intensive_strength={self.intensive_strength:g} is of intensive_pipeline='own'; "
                "allowed with 'reference': 1"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a configuration from names and values, refusing names that do not exist."""
        known = [spec.name for spec in dataclasses.fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            close = difflib.get_close_matches(str(unknown[0]), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(known)}"
            raise UserError(f"unknown hyperparameter {unknown[0]}={values[unknown[0]]!r}; {hint}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields by name, as plain Python values."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like a new one."""
        return self.from_dict({**self.to_dict(), **changes})


def describe_parameters() -> list[str]:
    """Return lines that list every hyperparameter: name, default, meaning and what is allowed."""
    lines = []
    for spec in dataclasses.fields(TrainConfig):
        if spec.name in SECTIONS:
            lines += ["", SECTIONS[spec.name]]
        about = spec.metadata
        # What a text without names may be takes a sentence, which its error says.
        allowed = "" if about.get("options") == [] else _allowed(spec, _short)
        meaning = f"{about['meaning']} ({allowed})" if allowed else about["meaning"]
        if spec.name in SET_BY_COMMAND:
            meaning += f"; set by {SET_BY_COMMAND[spec.name]}, never suggested"
        lines.append(f"  {spec.name:<24}{_short(spec.default) or '(empty)':<20}{meaning}")
    return lines[1:]


def _allowed(spec: dataclasses.Field, show: Callable[[float], str] = str) -> str:
    """Return what a field may be, in words; nothing of a switch."""
    about = spec.metadata
    if "low" in about:
        return f"{show(about['low'])} to {show(about['high'])}"
    return ", ".join(filter(None, [*about.get("options", ()), about.get("other")]))


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _checked(spec: dataclasses.Field, kind: Any, value: Any) -> Any:
    """Return ``value`` as the field's own type, or raise a `UserError` that names all three."""
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise UserError(
            f"{spec.name}={value!r} is {type(value).__name__}; allowed: {kind.__name__}"
        )
    about, wrong = spec.metadata, ""
    if "low" in about and not about["low"] <= value <= about["high"]:  # nor is NaN
        wrong = "out of range"
    names = about.get("options")
    if names is not None and value not in names and not re.fullmatch(about["pattern"], value):
        wrong = "unknown" if names else "malformed"
    if wrong:
        raise UserError(f"{spec.name}={value!r} is {wrong}; allowed: {_allowed(spec)}")
    return value
