"""How soon does a trial in a warm worker begin its first step?

    python tests/benchmarks/warm_start.py [--data FACES] [--image-size 64] [--num-trials 8]

Runs a search of one-epoch trials, one at a time in one reused worker, and compares two clocks of
the same machine: when the study handed out the configuration (in the driver) and when the worker
called its first training step with the model built and the data open. The first trial, which pays
for the process and its imports, is shown beside the others.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import tune  # noqa: F401  # isort: skip  # before ray: it sets what Ray reads when imported
import ray
from common import spread
from ray import tune as ray_tune

from tune import cluster
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import METRICS, Callback
from tune.execution.session import SearchSession
from tune.execution.trainable import FaceTrainable
from tune.options.search import SearchOptions
from tune.records.run_folder import SearchFolder
from tune.search.prepare import prepare
from tune.search.run import search_job
from tune.study.study import SearchStudy

BEGAN = "began"


class TimedTrainable(FaceTrainable):
    """Says with each result when the step that led to it began."""

    def step(self):
        """Train one epoch."""
        began = time.time()
        result = super().step()
        return {METRICS: {**result[METRICS], BEGAN: began}}


class Watch(Callback):
    """Notes when configurations were handed out and when their first steps began."""

    def __init__(self) -> None:
        self.given: dict[int, float] = {}
        self.delays: dict[int, float] = {}

    def trial_started(self, number, config, epochs_done):
        """Note the time."""
        self.given[number] = time.time()

    def epoch_finished(self, number, metrics):
        """Note how long after its configuration the trial began."""
        self.delays[number] = metrics[BEGAN] - self.given[number]


def main() -> None:
    """Run the search and print the delays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--num-trials", type=int, default=8)
    given = parser.parse_args()
    options = SearchOptions(
        space="quick", data=[given.data], weights="none", max_epochs=1, fraction=0.05,
        image_size=given.image_size, num_trials=given.num_trials, concurrency=1,
    )  # fmt: skip
    prepared = prepare(options)
    with tempfile.TemporaryDirectory() as results:
        folder = SearchFolder.create(Path(results), "warm-start")
        study = SearchStudy(folder.journal, prepared.space, options.fixed)
        checkpoints = CheckpointStore(str(folder.path / "checkpoints"))
        watch = Watch()
        session = SearchSession(study, options.num_trials, [watch], checkpoints)
        cluster.connect(None)
        resources = cluster.plan_resources(None, None, concurrency=1)
        job = search_job(prepared, checkpoints, resources)
        trainable = ray_tune.with_parameters(TimedTrainable, job=job)
        run_trials(trainable, folder.path, session, resources)
        ray.shutdown()
    cold, *warm = watch.delays.values()
    print(f"first trial of a worker: {cold:.2f} s")
    print(f"later ones, median of {len(warm)}: {spread(warm, 3)} s")
    print(f"ratio first/later: {cold / statistics.median(warm):.0f}")


if __name__ == "__main__":
    main()
