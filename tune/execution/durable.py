"""A Ray Trainable whose trials outlive their worker, their node and the driver: a step is an epoch.

What goes wrong inside a trial by its own fault becomes a result that says so. What its machine did
to it is raised: Ray then gives up the process, which may be poisoned for good, as after a CUDA
error, and starts the trial again in a fresh one.
"""

import contextlib
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.result import TIMESTEPS_TOTAL

from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import DIVERGED, FAILURE, METRICS, UNSAVED
from tune.records.files import cannot_write
from tune.spaces.objectives import Metrics, Settings
from utkface.io import UserError, describe_error


class DurableTrainable(tune.Trainable):
    """Keeps a trial's state in the run's checkpoint store, and reports as the driver expects.

    ``config`` is {"number": int, "train": the trial's configuration, "rows": see `TrialJob`}.
    Actors are reused: the process and its imports outlive a trial.
    """

    _number: int
    _failure: Exception | None  # what ended the trial
    _restored_metrics: Metrics | None  # of the checkpoint's epoch, still to be reported

    @abstractmethod
    def begin(self, settings: Settings, rows: str) -> None:
        """Make ready for a trial's first epoch; nothing of an earlier trial may be left."""

    @abstractmethod
    def train_epoch(self) -> Metrics:
        """Train for an epoch; return its metrics, with its number as ``epoch``."""

    @abstractmethod
    def save_state(self) -> dict[str, Any]:
        """Return all that `load_state` needs, in plain values, bytes and tensors."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> Metrics:
        """Go on from a state; return the metrics of its last epoch."""

    def setup(  # type: ignore[override]  # what is derived from this adds the store
        self, config: dict[str, Any], checkpoints: CheckpointStore
    ) -> None:
        """Begin the first trial of this worker."""
        self._checkpoints = checkpoints
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
            return _result(metrics)
        if self._failure is None:
            try:
                metrics = self.train_epoch()
                return self._save() or _result(metrics)
            except Exception as error:
                self._failure = error
        if is_of_the_machine(self._failure):
            raise self._failure
        kind = DIVERGED if isinstance(self._failure, FloatingPointError) else FAILURE
        return {kind: describe_error(self._failure)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: a trial's state is in the search's checkpoint store, not in Ray's."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing, see `save_checkpoint`."""

    def _save(self) -> dict[str, Any]:
        """Write the checkpoint; return the result that tells why that was not possible."""
        try:
            self._checkpoints.save(self._number, self.save_state())
        except OSError as error:
            return {UNSAVED: str(cannot_write(self._checkpoints.uri, error))}
        return {}

    def _begin(self, config: dict[str, Any]) -> None:
        self._number = config["number"]
        # On Ray's dashboard an actor keeps its first trial's name; its log there has them all.
        print(f"trial_{self._number:04d}: {config['train']}", flush=True)
        self._failure = None
        self._restored_metrics = None
        try:
            self.begin(config["train"], config["rows"])
            state = None
            # Torn by a full disk or a dying node: its epochs are trained again, with equal results.
            with contextlib.suppress(UserError):
                state = self._checkpoints.load(self._number)
            if state is not None:
                self._restored_metrics = self.load_state(state)
        except Exception as error:
            self._failure = error


def _result(metrics: Metrics) -> dict[str, Any]:
    """Return an epoch's result; by its steps TensorBoard draws a resumed trial as one curve."""
    return {METRICS: metrics, TIMESTEPS_TOTAL: int(metrics["epoch"])}


def durable(
    trainable: type[tune.Trainable], checkpoints: CheckpointStore
) -> type[DurableTrainable]:
    """Return a class `Trainable` of any task with trials that go on where they stood.

    Each step counts as an epoch. The class writes its state into the folder that its
    `save_checkpoint` is given, and reads it from there.
    """

    class Durable(DurableTrainable):
        def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
            super().setup(config, checkpoints)

        def begin(self, settings: Settings, rows: str) -> None:
            self._inner = trainable.__new__(trainable)
            self._inner.config = settings
            self._inner.setup(settings)
            self._metrics: Metrics = {"epoch": 0}

        def train_epoch(self) -> Metrics:
            self._metrics = {**self._inner.step(), "epoch": self._metrics["epoch"] + 1}
            return self._metrics

        def save_state(self) -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as folder:
                self._inner.save_checkpoint(folder)
                files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
            return {"metrics": self._metrics, "files": files}

        def load_state(self, state: dict[str, Any]) -> Metrics:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in state["files"].items():
                    (Path(folder) / name).write_bytes(content)
                self._inner.load_checkpoint(folder)  # type: ignore[arg-type]  # Ray forgot it
            self._metrics = state["metrics"]
            return self._metrics

    Durable.__qualname__ = trainable.__qualname__  # what Ray's dashboard shows
    return Durable


def is_of_the_machine(error: Exception) -> bool:
    """Say whether an error may be gone in another process: of device, storage or memory.

    Memory may have been short because of a neighbour on the same card.
    """
    if isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError | MemoryError | OSError):
        return True
    # What libraries raise on top of the driver has no class of its own.
    return isinstance(error, RuntimeError) and any(
        name in str(error)
        for name in ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "can't allocate memory")
    )
