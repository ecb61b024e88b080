"""This project's search command with training that only sleeps, and a witness.

Everything but the training is the product's: the command line, the study, the run folder, Ray.
The driver's clock jumps by days all the time.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jumping_clock
import ray
import sleeper
import witness
from optuna.storages.journal import JournalStorage

from tune import cluster
from tune.execution import trainable
from tune.execution.reporting import METRICS, Callback
from tune.execution.session import SearchSession
from tune.records import provenance, run_folder
from tune.records.trials import TrialRecord
from tune.run_search import main
from tune.search import run as run_module
from utkface.io import run_command


class SleepingTrainable(sleeper.Sleeper):
    """Keeps its state in the search's checkpoint store, as the product's trainable does."""

    def setup(self, config: dict[str, Any], job: Any) -> None:
        """Begin the first trial of this worker."""
        super().setup(config, {**job.work, "states": job.states})

    def begin(self, config: dict[str, Any]) -> None:
        """Begin a trial, or go on with it."""
        self.number = config["number"]
        super().begin({"rate": config["train"]["max_lr"]})
        self.path = Path(self.work["states"]) / f"trial_{self.number:04d}.pt"
        self.restored = self.read_state(self.path)

    def step(self) -> dict[str, Any]:
        """Sleep through one epoch; a restored trial first repeats its last epoch's metrics."""
        if self.restored:
            self.restored = False
            metrics = {"epoch": self.epoch, "score": sleeper.score(self.rate, self.epoch)}
        else:
            metrics = self.train_epoch(str(self.number))
            self.write_state(self.path)
        made_up = {"age_mae": 5.0, "gender_accuracy": 0.9, "gender_error": 0.1, "train_loss": 1.0}
        made_up |= {"smooth_score": metrics["score"], "time_s": self.work["epoch_s"]}
        return {METRICS: {**metrics, **made_up}}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing, as the product's does."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing, as the product's does."""


class Witness(Callback):
    """Notes the trials that end."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def trial_ended(self, record: TrialRecord) -> None:
        """Note it."""
        num_epochs = len(record.epochs)
        witness.note(
            self.path, kind=witness.ENDED, trial=record.number, score=record.score, epoch=num_epochs
        )


def join(stack: ExitStack, options: Any, *unused: Any) -> cluster.Joined:
    """Join the cluster without the checks of a real one, which take longer than a session here."""
    ray.init(address=options.address, log_to_driver=False, logging_level="ERROR")
    stack.callback(ray.shutdown)
    resources = cluster.plan_resources(None, None, options.concurrency)
    return cluster.Joined(None, resources, [])


def run(work: dict[str, Any], arguments: list[str]) -> None:
    """Run the command with its training replaced; the end of a process of its own."""

    class WitnessedSession(SearchSession):
        def __init__(self, study: Any, num_trials: int, callbacks: Any, *more: Any, **options: Any):
            callbacks.append(Witness(work["witness"]))
            super().__init__(study, num_trials, callbacks, *more, **options)

    def sleeping_job(prepared: Any, checkpoints: Any, *unused: Any) -> Any:
        return SimpleNamespace(work=work, states=checkpoints.uri)

    journal_storage = sys.modules[JournalStorage.__module__]
    jumping_clock.install([journal_storage, provenance, run_folder])
    # Workers are not to import this file, which would take them longer than their work.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    trainable.FaceTrainable = SleepingTrainable
    run_module.SearchSession = WitnessedSession
    run_module.search_job = sleeping_job
    cluster.join = join
    run_command(lambda: main(arguments))
