"""The durable search on another task: how should scikit-learn's digits be learned?

python docs/digits.py FOLDER [TRIALS]: stop it with Ctrl-C or kill -9, then run it again.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from tune.cluster import Resources, connect  # first: it sets what Ray reads when it is imported
from tune.execution.checkpoints import CheckpointStore
from tune.execution.durable import durable
from tune.execution.ray_adapter import run_trials
from tune.execution.session import SearchSession, interruptible
from tune.study.sources import Suggested
from tune.study.study import SearchStudy

from ray.tune import Trainable  # isort: skip


class Digits(Trainable):
    def setup(self, config):
        images, labels = load_digits(return_X_y=True)
        self.split = train_test_split(images / 16, labels, random_state=0)
        settings = {name: config[name] for name in ("alpha", "eta0")}
        self.model = SGDClassifier(learning_rate="constant", random_state=0, **settings)

    def step(self):
        train_images, val_images, train_labels, val_labels = self.split
        self.model.partial_fit(train_images, train_labels, classes=range(10))
        return {"error": 1 - self.model.score(val_images, val_labels)}

    def save_checkpoint(self, folder):
        np.savez(f"{folder}/model.npz", coef=self.model.coef_, intercept=self.model.intercept_)

    def load_checkpoint(self, folder):
        self.model.partial_fit(self.split[0], self.split[2], classes=range(10))
        with np.load(f"{folder}/model.npz") as state:
            self.model.coef_, self.model.intercept_ = state["coef"], state["intercept"]


def suggest(trial):
    trial.suggest_float("alpha", 1e-6, 1e-1, log=True)
    trial.suggest_float("eta0", 1e-4, 1.0, log=True)
    return {}


def main(folder, num_trials=12):
    fixed = {"epochs": 9, "seed": 0}
    study = SearchStudy(folder / "study.journal", Suggested(suggest), fixed, objectives=("error",))
    checkpoints = CheckpointStore(str(folder / "checkpoints"))
    session = SearchSession(study, int(num_trials), [], checkpoints)
    connect(None)
    with interruptible(session, None):
        run_trials(durable(Digits, checkpoints), folder, session, Resources(1, 0, 2))
    for record in study.records():
        print(record.number, record.state, len(record.epochs), record.epochs[-1:], record.params)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
