"""How many trials an hour do more workers complete?

    python tests/benchmarks/scaling.py [--workers 1 2 4 8 16] [--epoch 1.0] [--epochs 5]

Runs searches whose trials only sleep, so that any number of workers fits on any machine and what is
left is the search's own work: suggesting, judging, writing the study, the tables and Ray's state.
The clock runs from the moment when all workers are busy until the last trials are handed out, so
starting Ray and its processes does not count. Efficiency is against as many perfect workers.
"""

import argparse
import statistics
import time

import tune  # noqa: F401  # isort: skip  # before ray: it sets what Ray reads when imported
import ray
from sleeping import sleeping_search

from tune.execution.reporting import Callback
from tune.records.trials import TrialRecord


class Watch(Callback):
    """Counts the trials that end while all workers are busy."""

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self.started: list[float] = []
        self.busy: set[int] = set()
        self.ended: list[float] = []
        self.all_busy_s = 0.0

    def trial_started(self, number: int, config: dict, epochs_done: int) -> None:
        """Note when it was handed out."""
        self.started.append(time.monotonic())

    def epoch_finished(self, number: int, metrics: dict) -> None:
        """Note when as many trials are under way as there are workers."""
        self.busy.add(number)
        if not self.all_busy_s and len(self.busy) >= self.num_workers:
            self.all_busy_s = time.monotonic()

    def trial_ended(self, record: TrialRecord) -> None:
        """Note when."""
        self.ended.append(time.monotonic())

    def trials_per_hour(self) -> float:
        """Return the rate from the moment when all were busy until the last trial was handed out.

        From the time between a trial's end and that of the trial as many ends later as there are
        workers, on average one worker's next: ends come in bursts, which plain counting overrates.
        """
        counted = [s for s in self.ended if self.all_busy_s < s <= self.started[-1]]
        cycles = [b - a for a, b in zip(counted, counted[self.num_workers :], strict=False)]
        return 3600 * self.num_workers / statistics.mean(cycles)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--epoch", type=float, default=1.0, help="seconds that an epoch sleeps")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--trials-per-worker", type=int, default=6)
    given = parser.parse_args()
    print(f"{'workers':>8} {'trials/h':>9} {'perfect':>8} {'efficiency':>11}")
    for num_workers in given.workers:
        ray.init("local", num_cpus=num_workers, include_dashboard=False, log_to_driver=False)
        num_trials = max(10, num_workers * given.trials_per_worker)
        watch = Watch(num_workers)
        sleeping_search(num_trials, given.epochs, given.epoch, num_workers, watch)
        ray.shutdown()
        rate, perfect = watch.trials_per_hour(), 3600 * num_workers / (given.epoch * given.epochs)
        print(f"{num_workers:8} {rate:9,.0f} {perfect:8,.0f} {rate / perfect:11.1%}", flush=True)


if __name__ == "__main__":
    main()
