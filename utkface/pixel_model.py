"""A trained model from pixels to answers, for predicting: no training part is left in it."""

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from utkface.augment import normalise
from utkface.model import FaceModel


class PixelModel(nn.Module):
    """Normalisation, network and interpretation of both heads as one module.

    ``flip``: answer with the mean of the answers for each face and for its mirror image. BatchNorm
    is folded into the convolutions, which on a CPU makes the network twice as fast.
    """

    def __init__(self, model: FaceModel, *, flip: bool = False) -> None:
        super().__init__()
        self.model = model
        self.features = fuse(model.eval().features)
        self.flip = flip
        self.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return ages (B,) in years and the probabilities (B,) of being female.

        pixels: (B, S, S, 3) uint8 RGB, S being the image size of the training.
        """
        age_years, female_probability = self._answers(pixels)
        if self.flip:
            mirrored = self._answers(pixels.flip(2))
            age_years = (age_years + mirrored[0]) / 2
            female_probability = (female_probability + mirrored[1]) / 2
        return age_years, female_probability

    def _answers(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.model.heads(self.features(normalise(pixels.permute(0, 3, 1, 2))))
        return self.model.ages(outputs), self.model.gender_probability(outputs)

    @torch.inference_mode()
    def predict(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` does, without keeping what gradients would need."""
        return self(pixels)
