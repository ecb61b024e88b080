"""Training: one object, one epoch per call, its whole state in and out.

Every random number of an epoch is a function of the seed and the epoch's number alone: a run
continued from a checkpoint gives the numbers of one that never stopped, and nothing that ran
before in the same process can be felt.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from utkface.augment import Augmenter
from utkface.batches import (
    ImageStore,
    TrainingData,
    batch_slices,
    shrink,
    to_device,
    training_size,
)
from utkface.config import TrainConfig
from utkface.device import GraphedStep, half_precision, keep_freed_memory, on_stream
from utkface.io import UserError
from utkface.losses import FaceLoss, mean_losses
from utkface.metrics import face_metrics
from utkface.model import Predictions, build_model, predict
from utkface.optim import (
    NUM_BATCHNORM_FACES,
    Schedule,
    WeightAverage,
    build_optimiser,
    measure_batchnorm,
)
from utkface.sampling import Sampling


class Training:
    """A training run: a model, what moves it, and how far it has come.

    ``weights`` is as in `build_model`. Data without validation faces are trained on all the same,
    and the metrics then say nothing but how training went. Raises `UserError` for weights that
    cannot be had.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        *,
        weights: str | Path = "imagenet",
        device: str | torch.device = "cpu",
    ) -> None:
        assert data.images.shape[1:] == (config.image_size, config.image_size, 3)
        self.config = config
        self.data = data
        self.device = torch.device(device)
        self.epoch = 0  # epochs finished
        self.metrics: dict[str, float] = {}  # of the last of them
        self.val_predictions: Predictions | None = None  # of this process's last epoch
        self._set_up_device()

        model_seed, _ = epoch_seeds(config.seed, 0)
        with seeded(model_seed, self.device):
            model = build_model(config, weights)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.average = WeightAverage(self.model, config.ema_decay)
        self.optimiser = build_optimiser(self.model, config)
        self.loss = FaceLoss(config, self.device)
        self.augmenter = Augmenter(config)
        self._generator = torch.Generator(self.device)  # of the augmentation
        self._gradients = GraphedStep(list(self.model.parameters()), self._generator)

        self.images = ImageStore(data.images, self.device)
        self._targets = [to_device(values, self.device) for values in _targets(data, config)]
        train = data.train
        self.sampling = Sampling(data.age[train], data.gender[train], data.race[train], config)
        self.batchnorm_rows = train[self.sampling.epoch(0)[0][:NUM_BATCHNORM_FACES]]
        num_steps = len(batch_slices(len(train), config.batch_size))
        self.schedule = Schedule(self.optimiser, config, num_steps)

    def _set_up_device(self) -> None:
        """Choose the precision, and what else depends on what kind of device it is."""
        on_gpu = self.device.type == "cuda"
        self.amp_dtype = half_precision(self.config.amp) if on_gpu else None
        # Nothing is recorded on the stream that all share; and several trainings on one card, each
        # on a stream of its own, do not wait for each other.
        self._stream = torch.cuda.Stream(self.device) if on_gpu else None
        # Gradients of half precision underflow without scaling; bfloat16 has float32's range.
        needs_scaling = self.amp_dtype is torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=needs_scaling)
        # torch.backends.cudnn.benchmark stays off: every process would compare algorithms for every
        # size of batch, which beside others takes longer than a short trial.
        if not on_gpu:
            keep_freed_memory()

    def run_epoch(self) -> dict[str, float]:
        """Train for one epoch, validate with the averaged weights, and return flat metrics.

        Raises `FloatingPointError`, naming the epoch and the learning rate, for a loss or a
        prediction that is not finite; the object is then of no further use.
        """
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        seed, augmentation_seed = epoch_seeds(self.config.seed, self.epoch + 1)
        with on_stream(self._stream), seeded(seed, self.device):
            self._generator.manual_seed(augmentation_seed)
            train_metrics = self._train_epoch()
            train_time_s = time.perf_counter() - start_s
            if not self._frozen:  # a frozen backbone keeps the statistics it is frozen with
                measure_batchnorm(self.average.model, self.images, self.batchnorm_rows)
            val_metrics = self._validate(train_metrics["lr"])
        self.schedule.after_epoch(val_metrics.get("score", train_metrics["train_loss"]))
        self.epoch += 1
        self.metrics = {
            "epoch": self.epoch,
            **val_metrics,
            **train_metrics,
            "images_per_s": len(self.data.train) / train_time_s,
            "time_s": time.perf_counter() - start_s,
            "cpu_time_s": time.process_time() - start_cpu_s,
        }
        return dict(self.metrics)

    def predict(self, rows: NDArray[np.integer]) -> Predictions:
        """Return the averaged model's predictions for some rows of the data's images."""
        return predict(self.average.model, self.images, rows)

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on; its tensors are the live ones."""
        return {
            "config": self.config.to_dict(),
            "epoch": self.epoch,
            "metrics": self.metrics,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; raises `UserError` where it belongs to another configuration."""
        theirs = TrainConfig.from_dict(state["config"]).to_dict()  # older ones lack newer fields
        for name, ours in self.config.to_dict().items():
            if theirs[name] != ours:
                raise UserError(
                    f"the checkpoint was trained with {name}={theirs[name]!r}, this run has "
                    f"{name}={ours!r}; continue with the checkpoint's own configuration"
                )
        self.epoch = state["epoch"]
        self.metrics = state["metrics"]
        for name in ("model", "average", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        if state["scaler"]:  # empty from where nothing was scaled; the new one's scale then stays
            self.scaler.load_state_dict(state["scaler"])

    @property
    def _frozen(self) -> bool:
        """Whether the present epoch trains the heads alone."""
        return self.epoch < self.config.freeze_epochs

    def _train_epoch(self) -> dict[str, float]:
        """Take one step per batch of the epoch's draws; return mean losses and the last rate."""
        self.model.train()
        # Frozen BatchNorm uses the statistics it has, and leaves them as they are.
        self.model.features.requires_grad_(not self._frozen).train(not self._frozen)
        positions, intensive = self.sampling.epoch(self.epoch)
        rows = self.data.train[positions]
        on_device, is_intensive = (to_device(values, self.device) for values in (rows, intensive))
        losses, lrs = [], []
        for batch in batch_slices(len(rows), self.config.batch_size):
            lrs.append(self.schedule.lr)
            losses.append(self._train_step(rows[batch], on_device[batch], is_intensive[batch]))
        return {**mean_losses(losses, lrs, self.epoch + 1), "lr": lrs[-1]}

    def _train_step(
        self, rows: NDArray[np.integer], on_device: Tensor, intensive: Tensor
    ) -> Tensor:
        """Move the weights once, and return the losses before that, `FaceLosses` as a tensor (3,).

        Takes a batch's rows, the same rows on the device, and which of them are drawn for the
        intensive augmentation.
        """
        images = self.images.gather(rows, on_device)
        images = shrink(images, training_size(self.config, self.epoch))
        targets = [values[on_device] for values in self._targets]
        losses = self._gradients(self._backward, images, intensive, *targets, variant=self._frozen)
        if self.config.clip_norm > 0:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.schedule.after_step()
        self.average.update()
        return losses

    def _backward(self, images: Tensor, intensive: Tensor, *targets: Tensor) -> Tensor:
        """Find the gradients of one batch; return its `FaceLosses` as one tensor (3,).

        Recorded as a CUDA graph: nothing here may wait for the host.
        """
        images = self.augmenter(images, intensive, self._generator)
        use_amp = self.amp_dtype is not None
        with torch.autocast(self.device.type, dtype=self.amp_dtype, enabled=use_amp):
            outputs = self.model(images)
        losses = self.loss(self.model, outputs, *targets)
        self.scaler.scale(losses.total).backward()
        return torch.stack([loss.detach() for loss in losses])

    def _validate(self, lr: float) -> dict[str, float]:
        """Return the metrics of the validation faces; none where there are no such faces."""
        data = self.data
        if len(data.val) == 0:
            return {}
        self.val_predictions = self.predict(data.val)
        if not all(np.isfinite(values).all() for values in self.val_predictions):
            raise FloatingPointError(
                f"predictions are not finite after epoch {self.epoch + 1}, "
                f"which ended with learning rate {lr:.3g}"
            )
        return face_metrics(data.age[data.val], data.gender[data.val], *self.val_predictions)


def _targets(data: TrainingData, config: TrainConfig) -> list[np.ndarray]:
    """Return what is to be learned of every face: age and gender, and what a teacher says."""
    labels = [data.age.astype(np.int64), data.gender.astype(np.int64)]
    if config.teacher_weight == 0:
        return labels
    if data.teacher is None:
        raise UserError(
            f"teacher_weight={config.teacher_weight} and no teacher; give "
            "`retrain_best.py --teacher`, or leave teacher_weight at 0"
        )
    teacher = data.teacher
    # Copied as those were: what a worker has from Ray may not be written to, of which torch warns.
    return [*labels, teacher.age_distribution.copy(), teacher.gender_probability.copy()]


def epoch_seeds(seed: int, epoch: int) -> tuple[int, int]:
    """Return all that an epoch's randomness comes from but its draws; 0 is before the first epoch.

    Seeds of torch's global generators (the first weights, dropout) and of the augmentation's.
    """
    of_torch, of_augmentation = np.random.default_rng([seed, epoch]).integers(2**63 - 1, size=2)
    return int(of_torch), int(of_augmentation)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the block, and put them back as they were after it.

    Layers such as dropout draw from nowhere else.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
