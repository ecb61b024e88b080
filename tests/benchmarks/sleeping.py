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

import tune.runner
from tune.account import RunningAccount
from tune.checkpoints import CheckpointStore
from tune.cluster import Resources
from tune.observer import Observer
from tune.run_folder import RunFolder
from tune.searcher import SearchSession
from tune.spaces import load_space
from tune.study import SearchStudy
from tune.trainable import METRICS


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
        return {METRICS: {"epoch": self.epoch, "score": 1.0, "began": time.time()}}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing, as `tune.trainable.FaceTrainable` does."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing."""


def sleeping_search(
    num_trials: int, num_epochs: int, epoch_s: float, concurrency: int, observer: Observer
) -> None:
    """Run a search on a Ray that is there; every trial runs to its end."""
    # Workers are not to import this file, nor the torch behind it, only to sleep.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    tune.runner.FaceTrainable = SleepingTrainable
    fixed = {"epochs": num_epochs, "image_size": 32, "seed": 0}
    with tempfile.TemporaryDirectory() as results:
        folder = RunFolder.create(Path(results), "sleeping")
        space = load_space("quick", fixed=fixed)
        study = SearchStudy(folder.journal, space, fixed, scheduler="none")
        account = RunningAccount(folder, {"name": "sleeping", "wall_s": 0.0}, study)
        observers: Sequence[Observer] = [account, observer]
        store = CheckpointStore(str(folder.path / "checkpoints"))
        session = SearchSession(study, num_trials, observers, store)
        job: Any = SimpleNamespace(epoch_s=epoch_s)
        tune.runner.run_trials(job, folder, session, Resources(1, 0, concurrency))
