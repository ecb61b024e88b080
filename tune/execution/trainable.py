"""The Ray Trainable around `utkface.training`: one step is one epoch.

Actors are reused: the process, its imports and the memory-mapped faces outlive a trial, the
`Training` does not. What goes wrong inside a trial by its own fault becomes a result that says so.
What its machine did to it is raised: Ray then gives up the process, which may be poisoned for good,
as after a CUDA error, and starts the trial again in a fresh one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import tune

from tune.cluster.nodes import Weights, open_packed
from tune.cluster.resources import Resources
from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import DIVERGED, FAILURE, METRICS, UNSAVED
from tune.records.files import cannot_write
from tune.spaces.objectives import Metrics
from utkface.config import TrainConfig
from utkface.data import Faces
from utkface.io import UserError, describe_error
from utkface.training import Training, TrainingData


@dataclass(frozen=True)
class TrialJob:
    """What all trials of a search share; travels to each worker once.

    ``rows`` holds (training, validation) row numbers by the name that a trial's configuration
    gives. ``images_ref`` is the packed faces in Ray's object store, for nodes that have no file at
    ``images_path``; empty where every node has it.
    """

    images_path: Path
    images_shape: tuple[int, ...]
    images_ref: list[ray.ObjectRef] = field(repr=False)
    age: np.ndarray
    gender: np.ndarray
    race: np.ndarray
    rows: dict[str, tuple[np.ndarray, np.ndarray]]
    weights: Weights
    checkpoints: CheckpointStore
    num_threads: int
    use_gpu: bool

    def select(self, images: np.ndarray, rows: str) -> TrainingData:
        """Return the faces to train and validate on under a name of ``rows``."""
        train, val = self.rows[rows]
        return TrainingData(
            images=images, age=self.age, gender=self.gender, race=self.race, train=train, val=val
        )

    def open_images(self) -> np.ndarray:
        """Map the packed faces, from the node's own disk or from the object store."""
        images = open_packed(self.images_path, self.images_shape)
        if images is not None:
            return images
        if not self.images_ref:
            raise FileNotFoundError(f"no packed faces at {self.images_path}")
        return ray.get(self.images_ref[0])


class FaceTrainable(tune.Trainable):
    """Trains one configuration.

    ``config`` is {"number": int, "train": TrainConfig fields, "rows": a name in `TrialJob.rows`}.
    """

    _number: int
    _training: Training
    _failure: Exception | None  # what ended the trial
    _restored_metrics: Metrics | None  # of the checkpoint's epoch, still to be reported

    def setup(  # type: ignore[override]  # tune.with_parameters adds the job
        self, config: dict[str, Any], job: TrialJob
    ) -> None:
        """Open the data, once for all trials of this worker, and begin the first trial."""
        torch.set_num_threads(job.num_threads)
        self._job = job
        self._images = job.open_images()
        self._begin(config)

    def __repr__(self) -> str:
        """Name the actor on Ray's dashboard, which asks once, when the first trial begins."""
        return f"trial_{self._number:04d}"

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same worker."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train and validate one epoch; a restored trial first repeats its last epoch's metrics."""
        if self._restored_metrics is not None:
            metrics, self._restored_metrics = self._restored_metrics, None
            return {METRICS: metrics}
        if self._failure is None:
            try:
                metrics = self._training.run_epoch()
                return self._save() or {METRICS: metrics}
            except Exception as error:
                self._failure = error
        if is_of_the_machine(self._failure):
            raise self._failure
        kind = DIVERGED if isinstance(self._failure, FloatingPointError) else FAILURE
        return {kind: describe_error(self._failure)}

    def _save(self) -> dict[str, Any]:
        """Write the checkpoint; return the result that tells why that was not possible."""
        try:
            self._job.checkpoints.save(self._number, self._training.state_dict())
            if self._training.val_predictions is not None:
                self._job.checkpoints.save_predictions(self._number, self._training.val_predictions)
        except OSError as error:
            return {UNSAVED: str(cannot_write(self._job.checkpoints.uri, error))}
        return {}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: a trial's state is in the search's checkpoint store, not in Ray's."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing, see `save_checkpoint`."""

    def _begin(self, config: dict[str, Any]) -> None:
        self._number = config["number"]
        # On Ray's dashboard an actor keeps its first trial's name; its log there has them all.
        print(f"trial_{self._number:04d}: {config['train']}", flush=True)
        self._failure = None
        self._restored_metrics = None
        vars(self).pop("_training", None)  # two at a time might not fit into a GPU's memory
        if self._job.use_gpu:
            torch.cuda.empty_cache()  # others on this card may need what this trial does not
        try:
            self._training = Training(
                TrainConfig.from_dict(config["train"]),
                self._job.select(self._images, config["rows"]),
                weights=self._job.weights.here(),
                device="cuda" if self._job.use_gpu else "cpu",
            )
            state = self._load_state()
            if state is not None:
                self._training.load_state_dict(state)
                self._restored_metrics = self._training.metrics
        except Exception as error:
            self._failure = error

    def _load_state(self) -> dict | None:
        try:
            return self._job.checkpoints.load(self._number)
        except UserError:
            # Torn by a full disk or a dying node: its epochs are trained again, with equal results.
            return None


def is_of_the_machine(error: Exception) -> bool:
    """Say whether an error may be gone in another process: of the device, or for want of memory.

    Memory may have been short because of a neighbour on the same card.
    """
    if isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError | MemoryError):
        return True
    # What libraries raise on top of the driver has no class of its own.
    return isinstance(error, RuntimeError) and any(
        name in str(error) for name in ("CUDA error", "cuDNN error", "CUBLAS_STATUS")
    )


def trial_job(
    faces: Faces,
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    weights: Weights,
    checkpoints: CheckpointStore,
    resources: Resources,
    images_ref: Sequence[ray.ObjectRef] = (),
) -> TrialJob:
    """Return what all trials share; ``rows`` and ``images_ref`` as in `TrialJob`."""
    return TrialJob(
        images_path=faces.path,
        images_shape=faces.images.shape,
        images_ref=list(images_ref),
        age=faces.table["age"].to_numpy(),
        gender=faces.table["gender"].to_numpy(),
        race=faces.table["race"].to_numpy(),
        rows=rows,
        weights=weights,
        checkpoints=checkpoints,
        num_threads=max(1, int(resources.cpus_per_trial)),
        use_gpu=resources.gpus_per_trial > 0,
    )
