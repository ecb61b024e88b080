"""The Ray Trainable around `utkface.training`: what its trials share, and how long they take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import tune

from tune.cluster.nodes import Weights
from tune.cluster.resources import Resources
from tune.execution.checkpoints import CheckpointStore
from tune.execution.durable import DurableTrainable
from tune.spaces.objectives import Metrics, Settings
from utkface.batches import Teacher
from utkface.config import TrainConfig
from utkface.data import Faces
from utkface.data.pack import open_packed
from utkface.io import dump_checkpoint
from utkface.optim import NUM_BATCHNORM_FACES
from utkface.training import Training, TrainingData


@dataclass(frozen=True)
class TrialJob:
    """What all trials of a search share; travels to each worker once.

    ``labels`` are age, gender and race, (N,) each. ``rows`` holds (training, validation) row
    numbers by the name that a trial's configuration gives, ``teachers`` by the same name who
    teaches there, if anybody does. ``images_ref`` is the packed faces in Ray's object store, for
    nodes that have no file at ``images_path``; empty where every node has it.
    """

    images_path: Path
    images_shape: tuple[int, ...]
    labels: dict[str, np.ndarray]
    rows: dict[str, tuple[np.ndarray, np.ndarray]]
    weights: Weights
    checkpoints: CheckpointStore
    resources: Resources
    images_ref: Sequence[ray.ObjectRef] = field(default=(), repr=False)
    teachers: Mapping[str, Teacher] = field(default_factory=dict, repr=False)

    def select(self, images: np.ndarray, rows: str) -> TrainingData:
        """Return the faces to train and validate on under a name of ``rows``."""
        train, val = self.rows[rows]
        teacher = self.teachers.get(rows)
        return TrainingData(images=images, **self.labels, train=train, val=val, teacher=teacher)

    def open_images(self) -> np.ndarray:
        """Map the packed faces, from the node's own disk or from the object store."""
        images = open_packed(self.images_path, self.images_shape)
        if images is not None:
            return images
        if not self.images_ref:
            raise FileNotFoundError(f"no packed faces at {self.images_path}")
        return ray.get(self.images_ref[0])


class FaceTrainable(DurableTrainable):
    """Trains one configuration; the memory-mapped faces outlive a trial, its `Training` does not.

    In its ``config``, "train" are the fields of a `TrainConfig`, "rows" is a name in
    `TrialJob.rows`.
    """

    _training: Training

    def setup(  # type: ignore[override]  # tune.with_parameters adds the job
        self, config: dict[str, Any], job: TrialJob
    ) -> None:
        """Open the data, once for all trials of this worker, and begin the first trial."""
        torch.set_num_threads(max(1, int(job.resources.cpus_per_trial)))
        self._job = job
        self._images = job.open_images()
        super().setup(config, job.checkpoints)

    def begin(self, settings: Settings, rows: str) -> None:
        """Build the network and what trains it."""
        vars(self).pop("_training", None)  # two at a time might not fit into a GPU's memory
        use_gpu = self._job.resources.gpus_per_trial > 0
        if use_gpu:
            torch.cuda.empty_cache()  # others on this card may need what this trial does not
        self._training = Training(
            TrainConfig.from_dict(settings),
            self._job.select(self._images, rows),
            weights=self._job.weights.here(),
            device="cuda" if use_gpu else "cpu",
        )

    def train_epoch(self) -> Metrics:
        """Train and validate one epoch."""
        return self._training.run_epoch()

    def save_state(self) -> dict[str, Any]:
        """Return the training's state; write beside it what the validation faces are taken for."""
        if self._training.val_predictions is not None:
            self._checkpoints.save_predictions(self._number, self._training.val_predictions)
        return self._training.state_dict()

    def load_state(self, state: dict[str, Any]) -> Metrics:
        """Go on where the training stood."""
        self._training.load_state_dict(state)
        return self._training.metrics


def trial_job(
    faces: Faces,
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    weights: Weights,
    checkpoints: CheckpointStore,
    resources: Resources,
    images_ref: Sequence[ray.ObjectRef] = (),
    teachers: Mapping[str, Teacher] | None = None,
) -> TrialJob:
    """Return what all trials share; ``rows``, ``images_ref`` and ``teachers`` as in `TrialJob`."""
    return TrialJob(
        faces.path, faces.images.shape, _labels(faces), rows, weights, checkpoints, resources,
        images_ref, teachers or {},
    )  # fmt: skip


def _labels(faces: Faces) -> dict[str, np.ndarray]:
    return {name: faces.table[name].to_numpy() for name in ("age", "gender", "race")}


def face_trainable(job: TrialJob) -> type[tune.Trainable]:
    """Return the class that trains a job's configurations, for `run_trials`."""
    trainable = tune.with_parameters(FaceTrainable, job=job)
    # The dashboard's Actors page shows the class by this name, not by that of Ray's wrapper.
    trainable.__qualname__ = FaceTrainable.__qualname__
    return trainable


#: Steps of an epoch that is timed, after one that warms up, and a share of them of validation.
_TIMED_STEPS = 4


def time_epoch(
    faces: Faces, rows: tuple[np.ndarray, np.ndarray], config: TrainConfig
) -> tuple[float, int]:
    """Return the seconds of an epoch on one core, at full image size, and a checkpoint's bytes.

    rows: of training and validation, (N,) and (M,). A few steps are trained, once to warm up and
    once on the clock.
    """
    train, val = rows
    num_train = min(_TIMED_STEPS * config.batch_size, len(train))
    num_val = num_train * len(val) // len(train)
    num_val = max(1, num_val) if len(val) else 0
    timed = {"train": train[:num_train], "val": val[:num_val]}
    data = TrainingData(faces.images, **_labels(faces), **timed, teacher=None)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        training = Training(
            config.replace(freeze_epochs=0, initial_image_size=0), data, weights="none"
        )
        share = NUM_BATCHNORM_FACES * num_train // len(train)  # as many as of a whole epoch
        training.batchnorm_rows = training.batchnorm_rows[: max(2, share)]
        training.run_epoch()
        metrics = training.run_epoch()
    finally:
        torch.set_num_threads(num_threads)
    epoch_s = metrics["time_s"] * len(train) / num_train
    return epoch_s, len(dump_checkpoint(training.state_dict()))
