"""What training minimises: an age loss, a gender loss, their weighted sum, and the watch over it.

Age as a label distribution: "Learning Expectation of Label Distribution for Facial Age and
Attractiveness Estimation" (DLDL-v2, https://arxiv.org/abs/2007.01771).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from utkface.config import TrainConfig
from utkface.model import NUM_AGES, FaceModel, FaceOutputs, expected_age


class FaceLosses(NamedTuple):
    """Means over a batch; ``total`` is what is minimised."""

    total: Tensor
    age: Tensor  # in years, but for DLDL's divergence
    gender: Tensor  # nats


class FaceLoss:
    """The loss that a configuration asks for, with DLDL's label distributions on the device."""

    def __init__(self, config: TrainConfig, device: torch.device | str = "cpu") -> None:
        self.config = config
        # Float32 on every device, (117, 117): row a is the target of a face aged a.
        self.age_targets = age_distributions(
            config.dldl_sigma_years, config.dldl_sigma_per_year
        ).to(device)

    def __call__(
        self, model: FaceModel, outputs: FaceOutputs, age: Tensor, gender: Tensor, *teacher: Tensor
    ) -> FaceLosses:
        """Return the losses of outputs against integer ages (B,) and genders (B,).

        teacher: age distributions (B, NUM_AGES) and probabilities (B,) of being female, of which
        ``teacher_weight`` is mixed into the targets; or nothing.
        """
        config = self.config
        years, distribution = age.float(), self.age_targets[age]
        logits, smoothing = outputs.gender_logits, config.label_smoothing
        if teacher:
            taught_ages, taught_gender = teacher
            weight = config.teacher_weight
            ages = torch.arange(NUM_AGES, dtype=taught_ages.dtype, device=taught_ages.device)
            years = torch.lerp(years, taught_ages @ ages, weight)
            distribution = torch.lerp(distribution, taught_ages, weight)
            labels = F.one_hot(gender, 2) * (1 - smoothing) + smoothing / 2
            taught = torch.stack([1 - taught_gender, taught_gender], 1)
            gender_loss = F.cross_entropy(logits, torch.lerp(labels, taught, weight))
        else:
            gender_loss = F.cross_entropy(logits, gender, label_smoothing=smoothing)
        age_loss = self._age_loss(outputs.age_output, years, distribution)
        total = config.gender_weight * gender_loss + (1 - config.gender_weight) * age_loss
        if config.head_l1 > 0:
            total = total + config.head_l1 * model.heads_l1()
        return FaceLosses(total, age_loss, gender_loss)

    def _age_loss(self, age_output: Tensor, years: Tensor, distribution: Tensor) -> Tensor:
        """Return the configured age loss of outputs (B, 1) or (B, NUM_AGES).

        The targets are years (B,) or a distribution (B, NUM_AGES), whichever the loss asks for.
        """
        config = self.config
        if config.age_loss == "l1":
            return F.l1_loss(age_output[:, 0], years)
        if config.age_loss == "huber":
            # Divided by delta, so that it counts years as L1 does and gender_weight keeps its
            # meaning whatever delta is.
            return F.smooth_l1_loss(age_output[:, 0], years, beta=config.huber_delta_years)
        divergence = F.kl_div(age_output.log_softmax(dim=1), distribution, reduction="batchmean")
        return divergence + config.dldl_l1_weight * F.l1_loss(expected_age(age_output), years)


def age_distributions(sigma_years: float, sigma_per_year: float) -> Tensor:
    """Return a Gaussian label distribution for every age, (NUM_AGES, NUM_AGES), rows summing to 1.

    The width grows with age, sigma_years + sigma_per_year * age: a year shows more on a child.
    """
    ages = torch.arange(NUM_AGES, dtype=torch.float64)
    sigma = sigma_years + sigma_per_year * ages
    distance = ages[None, :] - ages[:, None]
    return (-(distance**2) / (2 * sigma[:, None] ** 2)).softmax(dim=1).float()


def mean_losses(steps: Sequence[Tensor], lrs: Sequence[float], epoch: int) -> dict[str, float]:
    """Return the mean of each loss over an epoch's steps, `FaceLosses` as tensors (3,) each.

    Read from the device all at once: reading a number waits for all work queued before it. Raises
    FloatingPointError, with its step and learning rate, for the first loss that is not finite.
    """
    values = torch.stack(list(steps)).cpu().double()
    bad = (~values[:, 0].isfinite()).nonzero().flatten().tolist()
    if bad:
        raise FloatingPointError(
            f"the loss is {values[bad[0], 0].item()} in epoch {epoch}, step {bad[0] + 1}, "
            f"with learning rate {lrs[bad[0]]:.3g}"
        )
    total, age, gender = values.mean(dim=0).tolist()
    return {"train_loss": total, "train_age_loss": age, "train_gender_loss": gender}
