"""The losses of an epoch's steps, and the watch over them."""

import torch
from torch import Tensor

from utkface.losses import FaceLosses


class LossLog:
    """Collects the losses of an epoch and reads them from the device now and then.

    Reading a number from a GPU waits for all work queued before it, so a loss that is not finite
    is noticed up to `CHECK_EVERY` steps late, and still reported with its own step.
    """

    CHECK_EVERY = 50

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.lrs: list[float] = []
        self._unread: list[Tensor] = []
        self._read: list[Tensor] = []

    def add(self, losses: FaceLosses, lr: float) -> None:
        """Note the losses of one step, which was taken with learning rate ``lr``."""
        self.lrs.append(lr)
        self._unread.append(torch.stack([loss.detach() for loss in losses]))
        if len(self._unread) == self.CHECK_EVERY:
            self._check()

    def means(self) -> dict[str, float]:
        """Return the mean of each loss over the steps.

        Raises FloatingPointError, as may `add`, for the first loss that is not finite.
        """
        if self._unread:
            self._check()
        total, age, gender = torch.cat(self._read).mean(dim=0).tolist()
        return {"train_loss": total, "train_age_loss": age, "train_gender_loss": gender}

    def _check(self) -> None:
        values = torch.stack(self._unread).cpu().double()
        first_step = len(self.lrs) - len(values)
        bad = (~values[:, 0].isfinite()).nonzero().flatten().tolist()
        if bad:
            step = first_step + bad[0]
            raise FloatingPointError(
                f"the loss is {values[bad[0], 0].item()} in epoch {self.epoch}, step {step + 1}, "
                f"with learning rate {self.lrs[step]:.3g}"
            )
        self._read.append(values)
        self._unread = []
