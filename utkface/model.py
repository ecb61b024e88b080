"""The network, the one way to predict with it, and the file that holds a trained one.

A convolutional backbone (`utkface.backbones`), average pooling, a linear head for age and one for
gender.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from utkface.augment.ops import normalise
from utkface.backbones import fused, load_weights, make_features, num_channels
from utkface.batches import ImageStore
from utkface.config import TrainConfig
from utkface.intervals import AgeIntervals
from utkface.io import UserError, load_checkpoint, save_checkpoint

NUM_AGES = 117  # ages 0 to 116, the oldest face of UTKFace
MEAN_AGE_YEARS = 33.0  # of UTKFace; an untrained head predicts about this
SPREAD_AGE_YEARS = 20.0

_KIND = "face model"  # in a file, where a checkpoint of training has none


class FaceOutputs(NamedTuple):
    """What the two heads say of a batch, before any interpretation."""

    age_output: Tensor  # (B, 1) years, or (B, NUM_AGES) logits over ages; float32
    gender_logits: Tensor  # (B, 2) male, female; float32


class FaceModel(nn.Module):
    """A backbone with an age head and a gender head."""

    def __init__(self, config: TrainConfig, features: nn.Module) -> None:
        super().__init__()
        width = num_channels(features)
        self.dldl_estimate = config.dldl_estimate
        self.features = features
        self.dropout = nn.Dropout(config.dropout)
        self.age_head = nn.Linear(width, NUM_AGES if config.age_loss == "dldl" else 1)
        self.gender_head = nn.Linear(width, 2)
        # The age head begins at the mean age: no decades of error to unlearn.
        start = torch.tensor(MEAN_AGE_YEARS)
        if config.age_loss == "dldl":
            start = -((torch.arange(NUM_AGES) - start) ** 2) / (2 * SPREAD_AGE_YEARS**2)
        self.age_head.bias.data.copy_(start)

    def forward(self, images: Tensor) -> FaceOutputs:
        """Return both heads' outputs for normalised images (B, 3, H, W)."""
        return self.heads(self.features(images))

    def heads(self, feature_maps: Tensor) -> FaceOutputs:
        """Return both heads' outputs for the backbone's feature maps (B, C, h, w)."""
        pooled = feature_maps.mean(dim=(2, 3))  # (B, C)
        # Half precision would round an age of 40 years to steps of 1/32, so heads stay in float32.
        with torch.autocast(pooled.device.type, enabled=False):
            pooled = self.dropout(pooled.float())
            return FaceOutputs(self.age_head(pooled), self.gender_head(pooled))

    def ages(self, outputs: FaceOutputs) -> Tensor:
        """Return predicted ages (B,) in years, between 0 and 116."""
        age_output = outputs.age_output
        if age_output.shape[1] == 1:
            years = age_output[:, 0]
        elif self.dldl_estimate == "median":
            years = median_age(age_output)
        else:
            years = expected_age(age_output)
        return years.clamp(0, NUM_AGES - 1)

    def gender_probability(self, outputs: FaceOutputs) -> Tensor:
        """Return the probability (B,) that each face is female."""
        return outputs.gender_logits.softmax(dim=1)[:, 1]

    def heads_l1(self) -> Tensor:
        """Return the L1 norm of both heads' weights; biases, which hold the mean age, are free."""
        return self.age_head.weight.abs().sum() + self.gender_head.weight.abs().sum()


def expected_age(age_logits: Tensor) -> Tensor:
    """Return the mean (B,) in years of the age distributions with logits (B, NUM_AGES)."""
    ages = torch.arange(NUM_AGES, dtype=age_logits.dtype, device=age_logits.device)
    return age_logits.softmax(dim=1) @ ages


def median_age(age_logits: Tensor) -> Tensor:
    """Return the median (B,) in years of the age distributions with logits (B, NUM_AGES).

    No other answer has a lower expected absolute error. Each age's probability is spread evenly
    over the year around it.
    """
    shares = age_logits.softmax(dim=1)
    below = shares.cumsum(dim=1) - shares
    tiny = torch.finfo(shares.dtype).tiny  # an age without any share lies below or above as a whole
    parts_below = ((0.5 - below) / shares.clamp(min=tiny)).clamp(0, 1)
    return parts_below.sum(dim=1) - 0.5


def build_model(config: TrainConfig, weights: str | Path = "imagenet") -> FaceModel:
    """Build the network with fresh heads, drawn from torch's global generator.

    ``weights`` is ``imagenet`` (downloaded once), ``none``, or the path of a file
    with the state dict of the backbone's features. With ``config.pretrained`` False it is not
    looked at. Raises `UserError` where the weights cannot be had or do not fit.
    """
    features = make_features(config.backbone)
    if config.pretrained and str(weights) != "none":
        load_weights(features, config.backbone, weights)
    return FaceModel(config, features)


class PixelModel(nn.Module):
    """From pixels to answers: normalisation, network and the interpretation of both heads.

    The one way to predict: validation, evaluation, the commands and the exported file all use it.
    The BatchNorm of torchvision's networks is folded into the convolutions (a tenth of a second,
    then twice the speed on a CPU), and the model is left in evaluation mode. All is float32, also
    on a card: in bfloat16 some models answer otherwise. flip: answer with the mean of the answers
    for each face and for its mirror image.
    """

    def __init__(self, model: FaceModel, *, flip: bool = False) -> None:
        super().__init__()
        self.model = model
        self.features = fused(model.eval().features)
        self.flip = flip
        self.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return ages (B,) in years and the probabilities (B,) of being female.

        pixels: (B, S, S, 3) uint8 RGB, S being the image size of the training.
        """
        images = pixels.permute(0, 3, 1, 2)
        age_years, female_probability = self.answers(images)
        if self.flip:
            mirrored = self.answers(images.flip(3))
            age_years = (age_years + mirrored[0]) / 2
            female_probability = (female_probability + mirrored[1]) / 2
        return age_years, female_probability

    @torch.inference_mode()
    def predict(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` does, without keeping what gradients would need."""
        return self(pixels)

    def outputs(self, images: Tensor) -> FaceOutputs:
        """Return both heads' outputs for images (B, 3, S, S) uint8, not flipped."""
        return self.model.heads(self.features(normalise(images)))

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return ages (B,) and probabilities (B,) for images (B, 3, S, S) uint8, not flipped."""
        outputs = self.outputs(images)
        return self.model.ages(outputs), self.model.gender_probability(outputs)


def prediction_batch_size(image_size: int, device: torch.device) -> int:
    """Return how many faces to predict in one pass; it changes no more than an answer's last digit.

    On a CPU about a megapixel. With more, the network's first activations are larger than what
    malloc keeps, the kernel clears their memory anew for every pass, and prediction takes 1.5 to 2
    times as long.
    """
    return 256 if device.type != "cpu" else min(256, max(8, 2**20 // image_size**2))


class Predictions(NamedTuple):
    """What a model says of some faces, in the order asked for."""

    age_years: NDArray[np.float32]  # (N,)
    gender_probability: NDArray[np.float32]  # (N,) of being female


@torch.inference_mode()
def predict(model: FaceModel, images: ImageStore, rows: NDArray[np.integer]) -> Predictions:
    """Return predictions for some rows of the images."""
    pixel_model = PixelModel(model)
    size = prediction_batch_size(images.images.shape[1], images.device)
    parts = [
        pixel_model.answers(images.gather(rows[start : start + size]))
        for start in range(0, len(rows), size)
    ]
    return Predictions(*(torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class TrainedModel:
    """A model ready to predict, on the CPU and in evaluation mode.

    Its file holds nothing that only training needs, and is read without running code from it.

    about: plain values that say where it comes from (run, seed, split, data, commit, ...), and
    ``flip``; interval: from validation residuals, None where there were none.
    """

    model: FaceModel
    config: TrainConfig
    about: dict[str, Any] = field(default_factory=dict)
    interval: AgeIntervals | None = None

    @property
    def flip(self) -> bool:
        """Whether figures and intervals are of means over mirror images; older files: no."""
        return bool(self.about.get("flip", False))

    @property
    def warning(self) -> str | None:
        """What is to be said wherever the model is used, if anything."""
        if not self.about.get("is_demo", False):
            return None
        return "it learned from drawn demo faces and knows nothing of real ones"


def averaged_model(state: dict[str, Any]) -> FaceModel:
    """Return the model that training validates, from the state of a `Training`."""
    model = build_model(TrainConfig.from_dict(state["config"]), "none")
    weights = state["average"]["weights"]  # None where the weights were not averaged
    model.load_state_dict(state["model"] if weights is None else weights)
    return model.eval()


def save_model(path: str | Path, trained: TrainedModel) -> None:
    """Write a model to ``path``, whole or not at all."""
    save_checkpoint(
        path,
        {
            "kind": _KIND,
            "config": trained.config.to_dict(),
            "model": trained.model.state_dict(),
            "about": trained.about,
            "interval": trained.interval and asdict(trained.interval),
        },
    )


def load_model(path: str | Path) -> TrainedModel:
    """Read a model; raises `UserError` for a file that is damaged, foreign, or of another kind."""
    state = load_checkpoint(path)
    if state.get("kind") != _KIND:
        raise UserError(
            f"{path} is a checkpoint of unfinished training, no model; give a model.pt that "
            "tune/retrain_best.py wrote"
        )
    try:
        config = TrainConfig.from_dict(state["config"])
        model = build_model(config, "none")
        model.load_state_dict(state["model"])
        about, stored = dict(state["about"]), state["interval"]
    except UserError:
        raise
    except Exception as error:  # a damaged file surfaces as whatever its reader trips over
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} does not hold the model it names ({reason}); copy it again, or use another"
        ) from error
    interval = None if stored is None else AgeIntervals.from_file(stored, path)
    return TrainedModel(model.eval(), config, about, interval)
