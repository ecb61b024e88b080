"""How many trials an hour do more workers complete, and how many does Ray Tune by itself?

    python tests/benchmarks/scaling.py [--workers 1 2 4 8 16] [--epoch 1.0] [--epochs 5]

Runs searches whose trials only sleep, so that any number of workers fits on any machine and what is
left is the search's own work: suggesting, judging, writing the study, the tables and event files.
Then the same trials with Ray Tune alone: reused actors, random values, nothing written but what it
always writes. The clock runs from the moment when all workers are busy until the last trials are
handed out, so starting Ray and its processes does not count. Efficiency is against as many perfect
workers; the driver's processor time is that of the whole search.
"""

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tune  # noqa: F401  # isort: skip  # before ray: it sets what Ray reads when imported
import ray
from ray import tune as ray_tune

from tune.cluster import Resources
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import METRICS, Callback
from tune.execution.session import SearchSession
from tune.records.run_folder import SearchFolder
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.search.writer import RecordWriter
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


class Watch(Callback, ray_tune.Callback):
    """Counts the trials that end while all workers are busy, of either kind of search."""

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self.started: list[float] = []
        self.busy: set[int | str] = set()
        self.ended: list[float] = []
        self.all_busy_s = 0.0
        self.num_results = 0
        self.cpu_s = -time.process_time()

    def trial_started(self, number: int, config: dict, epochs_done: int) -> None:
        """Note when it was handed out."""
        self.started.append(time.monotonic())

    def epoch_finished(self, number: int | str, metrics: dict) -> None:
        """Note when as many trials are under way as there are workers."""
        self.num_results += 1
        self.busy.add(number)
        if not self.all_busy_s and len(self.busy) >= self.num_workers:
            self.all_busy_s = time.monotonic()

    def trial_ended(self, record: TrialRecord) -> None:
        """Note when."""
        self.ended.append(time.monotonic())

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: object) -> None:
        """Note, of Ray alone, what `trial_started` does."""
        self.started.append(time.monotonic())

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict, **info: object
    ) -> None:
        """Note, of Ray alone, what `epoch_finished` does."""
        self.epoch_finished(trial.trial_id, result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: object) -> None:
        """Note, of Ray alone, what `trial_ended` does."""
        self.ended.append(time.monotonic())

    def stop(self) -> None:
        """Count the processor time no further."""
        self.cpu_s += time.process_time()

    def trials_per_hour(self) -> float:
        """Return the rate from the moment when all were busy until the last trial was handed out.

        From the time between a trial's end and that of the trial as many ends later as there are
        workers, on average one worker's next: ends come in bursts, which plain counting overrates.
        """
        counted = [s for s in self.ended if self.all_busy_s < s <= self.started[-1]]
        cycles = [b - a for a, b in zip(counted, counted[self.num_workers :], strict=False)]
        return 3600 * self.num_workers / statistics.mean(cycles)


def ours(num_trials: int, given: argparse.Namespace, job: Any, watch: Watch) -> None:
    """Run this project's search, with its own study, session and runner; all trials end."""
    fixed = {"epochs": given.epochs, "image_size": 32, "seed": 0}
    with tempfile.TemporaryDirectory() as results:
        folder = SearchFolder.create(Path(results), "sleeping")
        space = load_space("quick", fixed=fixed)
        study = SearchStudy(folder.journal, space, fixed, scheduler="none")
        writer = RecordWriter(folder, SearchRecord.model_construct(name="sleeping"), study)
        store = CheckpointStore(str(folder.path / "checkpoints"))
        session = SearchSession(study, num_trials, [writer, watch], store)
        trainable = ray_tune.with_parameters(SleepingTrainable, job=job)
        run_trials(trainable, folder.path, session, Resources(1, 0, watch.num_workers))


def ray_alone(num_trials: int, given: argparse.Namespace, job: Any, watch: Watch) -> None:
    """Run Ray Tune with as little around it as it allows."""
    with tempfile.TemporaryDirectory() as results:
        ray_tune.run(
            ray_tune.with_parameters(SleepingTrainable, job=job),
            config={"rate": ray_tune.loguniform(1e-4, 1e-1)},
            stop={"training_iteration": given.epochs},
            num_samples=num_trials,
            max_concurrent_trials=watch.num_workers,
            resources_per_trial={"cpu": 1},
            reuse_actors=True,
            storage_path=results,
            checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[watch],
            verbose=0,
        )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--epoch", type=float, default=1.0, help="seconds that an epoch sleeps")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--trials-per-worker", type=int, default=6)
    given = parser.parse_args()
    logging.getLogger("ray.tune").setLevel(logging.ERROR)  # Ray alone misses files of results
    titles = ("workers", "trials/h", "perfect", "efficiency", "ms/result")
    print(" " * 14, *(f"{title:>10}" for title in titles))
    for num_workers in given.workers:
        num_trials = max(10, num_workers * given.trials_per_worker)
        for name, search in (("this project", ours), ("Ray Tune alone", ray_alone)):
            ray.init("local", num_cpus=num_workers, include_dashboard=False, log_to_driver=False)
            watch = Watch(num_workers)
            search(num_trials, given, SimpleNamespace(epoch_s=given.epoch), watch)
            watch.stop()
            ray.shutdown()
            rate = watch.trials_per_hour()
            perfect = 3600 * num_workers / (given.epoch * given.epochs)
            print(
                f"{name:>14} {num_workers:10} {rate:10,.0f} {perfect:10,.0f} "
                f"{rate / perfect:10.1%} {1000 * watch.cpu_s / watch.num_results:10.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
