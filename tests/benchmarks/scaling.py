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
from types import SimpleNamespace
from typing import Any

import tune  # noqa: F401  # isort: skip  # before ray: it sets what Ray reads when imported
import ray
from ray import tune as ray_tune
from sleeping import SleepingTrainable, sleeping_search, travel_whole

from tune.execution.reporting import Callback
from tune.records.trials import TrialRecord


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


def ours(num_trials: int, given: argparse.Namespace, watch: Watch) -> None:
    """Run this project's search."""
    sleeping_search(num_trials, given.epochs, given.epoch, watch.num_workers, watch)


def ray_alone(num_trials: int, given: argparse.Namespace, watch: Watch) -> None:
    """Run Ray Tune with as little around it as it allows."""
    travel_whole()
    job = SimpleNamespace(epoch_s=given.epoch)
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
            search(num_trials, given, watch)
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
