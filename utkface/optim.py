"""The optimiser, its learning-rate schedule, and the average of the weights with its statistics.

AdamW: https://arxiv.org/abs/1711.05101. One cycle: https://arxiv.org/abs/1708.07120.

Averaged weights need BatchNorm statistics of their own ("Averaging Weights Leads to Wider Optima
and Better Generalization", https://arxiv.org/abs/1803.05407). And those that training gathers are
of augmented faces, whose borders, colours and blots the model never meets again. Measured on 4,000
training and 2,000 other faces at 64 px, ten epochs: age MAE 6.22 years with the statistics of faces
as they are, 6.76 with those of augmented faces or the average of training's own. torchvision's
momentum of 0.01, made for ImageNet's long training, is worse still: after one epoch the score is
5.2 instead of 3.0. The faces must be drawn as often as in training, though: a model that
oversampled rare ages had 9.3 years with the statistics of all faces alike, 6.8 with those of its
own draws.
"""

import copy
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.optim.swa_utils import update_bn

from utkface.augment.ops import normalise
from utkface.batches import ImageStore, batch_slices
from utkface.config import TrainConfig
from utkface.model import FaceModel

#: 512 faces gave nearly the same, 2,048 nothing more; a thousand cost 3 % of an epoch.
NUM_BATCHNORM_FACES = 1024
_FACES_TOGETHER = 256


def build_optimiser(model: nn.Module, config: TrainConfig) -> AdamW:
    """Return AdamW over all parameters, without weight decay on norms and biases."""
    # Norm weights and all biases are vectors; convolutions and linear maps have more dimensions,
    # and ConvNeXt's scale of each channel has them too.
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_map = parameter.ndim > 1 and not name.endswith("layer_scale")
        (decayed if is_map else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    # Fused: one call instead of hundreds, on a CPU as well.
    return AdamW(groups, lr=config.max_lr, fused=True)


class Schedule:
    """A learning-rate schedule that knows by itself which of its calls to act upon."""

    def __init__(self, optimiser: AdamW, config: TrainConfig, num_steps_per_epoch: int) -> None:
        self.optimiser = optimiser
        self.scheduler: OneCycleLR | StepLR | ReduceLROnPlateau | None = None
        num_steps, pct_start = num_steps_per_epoch * config.epochs, config.pct_start
        if config.schedule == "one_cycle" and num_steps > 1:  # one alone would be at the last rate
            if pct_start * num_steps == 1:  # the warm-up's division by zero (torch 2.15)
                pct_start = math.nextafter(pct_start, 0)
            self.scheduler = OneCycleLR(
                optimiser,
                max_lr=config.max_lr,
                total_steps=num_steps,
                pct_start=pct_start,
                div_factor=config.div_factor,
                final_div_factor=config.final_div_factor,
            )
        elif config.schedule == "step":
            self.scheduler = StepLR(optimiser, config.step_epochs, gamma=config.step_factor)
        elif config.schedule == "plateau":
            self.scheduler = ReduceLROnPlateau(
                optimiser, factor=config.plateau_factor, patience=config.plateau_patience_epochs
            )

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def after_step(self) -> None:
        """Move on by one optimiser step; the last rate stays beyond the cycle's end."""
        cycle = self.scheduler
        if isinstance(cycle, OneCycleLR) and cycle.last_epoch < cycle.total_steps - 1:
            cycle.step()

    def after_epoch(self, score: float) -> None:
        """Move on by one epoch, whose validation ended with ``score`` (lower is better)."""
        if isinstance(self.scheduler, StepLR):
            self.scheduler.step()
        elif isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(score)

    def state_dict(self) -> dict[str, Any]:
        """Return how far the schedule has come."""
        return {} if self.scheduler is None else self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another schedule of the same configuration was."""
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state)


class WeightAverage:
    """An exponential moving average of a model's weights.

    The decay warms up as min(decay, (1 + n) / (10 + n)) over n updates, so that the start, random
    heads and all, is forgotten quickly. With decay 0 it is the model itself. BatchNorm statistics
    are not averaged: `measure_batchnorm` finds those that belong to the averaged weights. (torch's
    own AveragedModel copies its counter to the GPU at every update, and waits for it.)
    """

    def __init__(self, model: FaceModel, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False) if decay > 0 else model
        self._source = [p.detach() for p in model.parameters()]  # the live weights, not copies
        self._average = [p.detach() for p in self.model.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's present weights."""
        if self.decay > 0:
            decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
            torch._foreach_lerp_(self._average, self._source, 1 - decay)
            self.num_updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights and the number of updates behind them."""
        weights = self.model.state_dict() if self.decay > 0 else None
        return {"num_updates": self.num_updates, "weights": weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from another average of the same model."""
        self.num_updates = state["num_updates"]
        if self.decay > 0:
            self.model.load_state_dict(state["weights"])


def measure_batchnorm(model: FaceModel, images: ImageStore, rows: NDArray[np.integer]) -> None:
    """Replace the backbone's BatchNorm statistics by those of some rows of the images.

    The rows are to be some `NUM_BATCHNORM_FACES` of the draws that the model was trained on. In
    float32 wherever it was trained, as the model predicts in it. Stochastic depth, where the
    backbone has it, draws from torch's global generator.
    """
    batches = (
        normalise(images.gather(rows[part])) for part in batch_slices(len(rows), _FACES_TOGETHER)
    )
    update_bn(batches, model.features)
