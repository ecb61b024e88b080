"""The same search with what Ray has for it: OptunaSearch, ASHAScheduler and Tuner.restore."""

import json
import sys
from pathlib import Path
from typing import Any

import ray
import sleeper
import witness
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch


class SleepingTrainable(sleeper.Sleeper):
    """Keeps its state where Ray wants it."""

    def step(self) -> dict[str, Any]:
        """Sleep through one epoch."""
        return self.train_epoch(self.trial_id)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state to the folder that Ray gives."""
        self.write_state(Path(checkpoint_dir) / "state.json")

    def load_checkpoint(self, checkpoint: str) -> None:
        """Go on from a state."""
        self.read_state(Path(checkpoint) / "state.json")


class Witness(tune.Callback):
    """Notes the trials that end."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Note it."""
        last = trial.last_result
        witness.note(
            self.path, kind=witness.ENDED, trial=trial.trial_id, score=last.get("score"),
            epoch=last.get("epoch", 0),
        )  # fmt: skip


def make_tuner(folder: Path, work: dict[str, Any], num_trials: int) -> tune.Tuner:
    """Go on where Ray can; begin anew where it cannot."""
    trainable = tune.with_parameters(SleepingTrainable, work=work)
    max_epochs = work["max_epochs"]
    if tune.Tuner.can_restore(str(folder)):
        return tune.Tuner.restore(str(folder), trainable, resume_unfinished=True)
    asha = ASHAScheduler("epoch", max_t=max_epochs, grace_period=1, reduction_factor=3)
    return tune.Tuner(
        trainable,
        param_space={"rate": tune.loguniform(1e-4, 3e-2)},
        tune_config=tune.TuneConfig(
            metric="score", mode="min", num_samples=num_trials, scheduler=asha, reuse_actors=True,
            search_alg=OptunaSearch(seed=0), max_concurrent_trials=work["concurrency"],
        ),
        run_config=tune.RunConfig(
            name=folder.name, storage_path=str(folder.parent), verbose=0,
            callbacks=[Witness(work["witness"])],
            stop={"epoch": max_epochs}, failure_config=tune.FailureConfig(max_failures=2),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=1),
        ),
    )  # fmt: skip


def run(work: dict[str, Any], folder: Path, address: str, num_trials: int) -> None:
    """Search, and write what the search says of its trials at the end."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    results = make_tuner(folder, work, num_trials).fit()
    trials = {
        result.metrics["trial_id"]: [result.metrics["score"], result.metrics["epoch"]]
        for result in results
        if "score" in (result.metrics or {})
    }
    (folder.parent / "results.json").write_text(json.dumps(trials))
