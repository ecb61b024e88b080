"""Anybody's Trainable and anybody's `suggest`, without a cluster around them."""

from pathlib import Path

import pytest
from optuna.trial import TrialState
from ray.tune import Trainable

from tune.execution.checkpoints import CheckpointStore
from tune.execution.durable import durable
from tune.execution.reporting import FAILURE, METRICS
from tune.study.sources import Suggested
from tune.study.study import SearchStudy


class Adding(Trainable):
    """Adds its rate in each step."""

    def setup(self, config):
        self.sum, self.rate = 0.0, config["rate"]

    def step(self):
        if self.rate < 0:
            raise ValueError("a rate below zero")
        self.sum += self.config["rate"]
        return {"sum": self.sum}

    def save_checkpoint(self, folder):
        (Path(folder) / "sum.txt").write_text(str(self.sum))

    def load_checkpoint(self, folder):
        self.sum = float((Path(folder) / "sum.txt").read_text())


@pytest.fixture
def worker(tmp_path):
    kind = durable(Adding, CheckpointStore(str(tmp_path / "checkpoints")))
    return lambda number, rate=0.5: kind(trial(number, rate))


def trial(number, rate):
    return {"number": number, "train": {"rate": rate}, "rows": "search"}


def test_a_trial_goes_on_in_another_worker_where_it_stood(worker):
    first = worker(3)
    assert first.step()[METRICS] == {"epoch": 1, "sum": 0.5}
    assert first.step()[METRICS] == {"epoch": 2, "sum": 1.0}
    again = worker(3)
    result = again.step()
    assert result[METRICS] == {"epoch": 2, "sum": 1.0}  # the driver may not know it yet
    assert result["timesteps_total"] == 2  # where TensorBoard draws it
    assert again.step()[METRICS] == {"epoch": 3, "sum": 1.5}


def test_a_worker_begins_another_trial_anew(worker):
    one = worker(0)
    one.step()
    assert one.reset_config(trial(1, 2.0))
    assert one.step()[METRICS] == {"epoch": 1, "sum": 2.0}


def test_what_a_trial_does_wrong_is_a_result(worker):
    assert worker(0, -1.0).step()[FAILURE].startswith("ValueError: a rate below zero")


def test_a_study_takes_any_suggest_and_goes_on_after_a_crash(tmp_path):
    def suggest(trial):
        return {"doubled": 2 * trial.suggest_float("rate", 0.1, 1.0)}

    def open_():
        space = Suggested(suggest, points=[{"rate": 0.25}])
        fixed = {"epochs": 2, "seed": 0}
        return SearchStudy(tmp_path / "study.journal", space, fixed, objectives=("sum",))

    study = open_()
    first = study.next_trial()
    assert first.config == {"doubled": 0.5, "rate": 0.25, "epochs": 2, "seed": 0}
    assert study.report(0, {"epoch": 1, "sum": 0.25}) == TrialState.RUNNING
    again = open_()
    resumed = again.next_trial()
    assert (resumed.number, resumed.config, resumed.epochs_done) == (0, first.config, 1)
    assert again.report(0, {"epoch": 2, "sum": 0.5}) == TrialState.COMPLETE
    assert again.study.best_value == 0.5
