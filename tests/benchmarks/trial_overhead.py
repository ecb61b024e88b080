"""What does a trial cost beyond its own work, beside a plain Ray Tune function?

    python tests/benchmarks/trial_overhead.py [--num-trials 24] [--epochs 3] [--epoch 0.2]

The same trials (so many epochs of sleeping) through this project's search, which writes every epoch
to the study before the next begins, and through a plain ``tune.Tuner`` with a function trainable
and random suggestions, as it is and with reused actors. One trial at a time and all in one Ray. The
first trial of each, which pays for the worker process, does not count.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import tune  # noqa: F401  # isort: skip  # before ray: it sets what Ray reads when imported
import ray
from ray import tune as ray_tune
from sleeping import sleeping_search

from tune.execution.reporting import Callback
from tune.records.trials import TrialRecord


class Watch(Callback, ray_tune.Callback):
    """Notes when trials end, of either kind of search."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def trial_ended(self, record: TrialRecord) -> None:
        """Note it."""
        self.ended.append(time.monotonic())

    def on_trial_complete(self, iteration: int, trials: list, trial: object, **info: object):
        """Note it."""
        self.ended.append(time.monotonic())

    def trial_s(self) -> list[float]:
        """Return how long after the one before each trial ended."""
        return [b - a for a, b in zip(self.ended, self.ended[1:], strict=False)]


def ours(given: argparse.Namespace, watch: Watch) -> None:
    """Run this project's search."""
    sleeping_search(given.num_trials, given.epochs, given.epoch, 1, watch)


def plain(given: argparse.Namespace, watch: Watch, *, reuse_actors: bool) -> None:
    """Run Ray Tune as its introduction does."""
    num_epochs, epoch_s = given.epochs, given.epoch

    def train(config: dict) -> None:
        for epoch in range(1, num_epochs + 1):
            time.sleep(epoch_s)
            ray_tune.report({"epoch": epoch, "score": 1.0})

    with tempfile.TemporaryDirectory() as results:
        ray_tune.Tuner(
            train,
            param_space={"rate": ray_tune.loguniform(1e-4, 1e-1)},
            tune_config=ray_tune.TuneConfig(
                num_samples=given.num_trials, max_concurrent_trials=1, reuse_actors=reuse_actors
            ),
            run_config=ray_tune.RunConfig(storage_path=results, callbacks=[watch], verbose=0),
        ).fit()


def main() -> None:
    """Print what a trial of each kind takes beyond its sleep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--epoch", type=float, default=0.2, help="seconds that an epoch sleeps")
    given = parser.parse_args()
    kinds: dict[str, Callable[[Watch], None]] = {
        "this project": lambda watch: ours(given, watch),
        "Ray Tune, a function": lambda watch: plain(given, watch, reuse_actors=False),
        "the same, actors reused": lambda watch: plain(given, watch, reuse_actors=True),
    }
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    work_s, overheads = given.epochs * given.epoch, {}
    for name, search in kinds.items():
        watch = Watch()
        search(watch)
        times = [trial_s - work_s for trial_s in watch.trial_s()]
        overheads[name] = statistics.median(times)
        print(
            f"{name:>24}: {overheads[name]:6.3f} s a trial beyond its {work_s:.1f} s of work, "
            f"median of {len(times)} ({min(times):.3f} to {max(times):.3f})",
            flush=True,
        )
    ray.shutdown()
    for name in list(kinds)[1:]:
        print(f"ratio of {name} to this project: {overheads[name] / overheads['this project']:.2f}")


if __name__ == "__main__":
    main()
