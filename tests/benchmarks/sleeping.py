"""A search whose trials only sleep, through the product's own study, session and runner."""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune as ray_tune

from tune.cluster import Resources
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import METRICS, Callback
from tune.execution.session import SearchSession
from tune.records.run_folder import SearchFolder
from tune.records.search import SearchRecord
from tune.search.run import RecordWriter
from tune.spaces.space import load_space
from tune.study.study import SearchStudy


class SleepingTrainable(ray_tune.Trainable):
    """Sleeps for ``job.epoch_s`` in each epoch."""

    def setup(self, config: dict[str, Any], job: Any) -> None:
        """Begin the first trial of this worker."""
        self.job, self.epoch = job, 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial."""
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """Sleep."""
        time.sleep(self.job.epoch_s)
        self.epoch += 1
        scores = {"score": 1.0, "smooth_score": 1.0}
        return {METRICS: {"epoch": self.epoch, **scores, "began": time.time()}}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing, as `tune.execution.trainable.FaceTrainable` does."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing."""


def travel_whole() -> None:
    """Let workers have what is here without importing it, and the torch behind it, to sleep."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def sleeping_search(
    num_trials: int, num_epochs: int, epoch_s: float, concurrency: int, callback: Callback
) -> None:
    """Run a search on a Ray that is there; every trial runs to its end."""
    travel_whole()
    fixed = {"epochs": num_epochs, "image_size": 32, "seed": 0}
    with tempfile.TemporaryDirectory() as results:
        folder = SearchFolder.create(Path(results), "sleeping")
        space = load_space("quick", fixed=fixed)
        study = SearchStudy(folder.journal, space, fixed, scheduler="none")
        writer = RecordWriter(folder, SearchRecord.model_construct(name="sleeping"), study)
        callbacks: Sequence[Callback] = [writer, callback]
        store = CheckpointStore(str(folder.path / "checkpoints"))
        session = SearchSession(study, num_trials, callbacks, store)
        job: Any = SimpleNamespace(epoch_s=epoch_s)
        trainable = ray_tune.with_parameters(SleepingTrainable, job=job)
        run_trials(trainable, folder.path, session, Resources(1, 0, concurrency))
