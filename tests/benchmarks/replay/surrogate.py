"""Curves of configurations that were never trained, learned from those that were.

The best of a few regressors by its own cross-validated error gives the mean. What it cannot know
(chance, and what it has not understood) is added as a whole out-of-fold residual of a trained
trial with a prediction near by, so replayed curves are as rough as measured ones.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from curves import CONFIG, by_epoch, ends
from optuna.distributions import CategoricalDistribution
from optuna.trial import FixedTrial
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import KFold

from replay.simulator import Curve
from tune.spaces.space import Space

NUM_NEAR = 10  # trials whose residuals a prediction may get
SEED = 0


@dataclass(frozen=True)
class Measured:
    """The complete trials of a table: N configurations and their curves of E epochs."""

    configs: list[dict[str, Any]]
    is_point: np.ndarray  # (N,) whether one is a starting point, not a random draw
    judged: np.ndarray  # (N, E) what is searched
    scores: np.ndarray  # (N, E)
    seconds: np.ndarray  # (N, E)

    @classmethod
    def of(cls, table: pd.DataFrame, metric: str) -> "Measured":
        """Read a table of `curves`, each configuration once."""
        last = ends(table)
        index = last.drop_duplicates([name for name in CONFIG if name != "seed"]).index
        columns = (by_epoch(table, m).loc[index] for m in (metric, "score", "cpu_time_s"))
        rows = last.loc[index, list(CONFIG)].to_numpy()
        configs = [dict(zip(CONFIG, row, strict=True)) for row in rows]
        return cls(
            configs,
            last.loc[index, "is_point"].to_numpy(bool),
            *(column.to_numpy() for column in columns),
        )

    def curve(self, index: int) -> Curve:
        """Return one trial's."""
        values = tuple(self.judged[index])
        return Curve(values, tuple(self.seconds[index]), self.scores[index, -1], values[-1])


class Encoder:
    """Numbers between 0 and 1 for what a space varies, a column per choice of a categorical.

    A parameter that another one switches off has its default, so nothing is missing.
    """

    def __init__(self, space: Space, measured: Measured) -> None:
        distributions: dict[str, Any] = {}
        for draw in space.draws:
            trial = FixedTrial(draw.params)
            space.suggest(trial)
            distributions |= trial.distributions
        self.distributions = distributions
        self.configs = measured.configs

    def __call__(self, config: dict[str, Any]) -> list[float]:
        """Return the features of a configuration."""
        row: list[float] = []
        for name, distribution in self.distributions.items():
            value = config[name]
            if isinstance(distribution, CategoricalDistribution):
                row += [float(value == choice) for choice in distribution.choices]
                continue
            low, high = distribution.low, distribution.high
            if distribution.log:
                value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
            row.append((value - low) / (high - low))
        return row


def candidates() -> dict[str, Any]:
    """Return the regressors to choose from; the trees' splits need no tuning for so few trials."""
    noise = WhiteKernel(0.1, (1e-3, 1.0))
    trees = {"n_estimators": 100, "max_features": 0.5, "random_state": SEED}
    return {
        "random forest": RandomForestRegressor(min_samples_leaf=2, **trees),
        "extra trees": ExtraTreesRegressor(min_samples_leaf=2, **trees),
        "GP, Matérn": GaussianProcessRegressor(
            ConstantKernel() * Matern(3.0, (0.5, 50), nu=2.5) + noise, normalize_y=True
        ),
        "GP, RBF": GaussianProcessRegressor(
            ConstantKernel() * RBF(3.0, (0.5, 50)) + noise, normalize_y=True
        ),
        "kernel ridge": KernelRidge(alpha=0.3, kernel="rbf", gamma=0.05),
        "the mean": KernelRidge(alpha=1e9, kernel="rbf"),
    }


class Surrogate:
    """Predicts curves; `errors` says how well, by regressor, as the share of variance explained."""

    def __init__(self, space: Space, fixed: dict[str, Any], measured: Measured) -> None:
        self.space, self.fixed, self.measured = space, fixed, measured
        self.encode = Encoder(space, measured)
        features = np.array([self.encode(config) for config in measured.configs])
        # In logarithms: errors of poor configurations are larger, and nothing falls below zero.
        targets = np.log(np.hstack([measured.judged, measured.scores, measured.seconds]))
        self.num_epochs = measured.judged.shape[1]
        self.centre = targets.mean(axis=0)
        targets = targets - self.centre
        folds = list(KFold(min(10, len(targets)), shuffle=True, random_state=SEED).split(features))
        residuals = {}
        for name, model in candidates().items():
            residuals[name] = np.empty_like(targets)
            for train, held_out in folds:
                fitted = clone(model).fit(features[train], targets[train])
                residuals[name][held_out] = targets[held_out] - fitted.predict(features[held_out])
        variance = targets[:, : self.num_epochs].var(axis=0)
        self.errors = {
            name: 1 - (rest[:, : self.num_epochs] ** 2).mean(axis=0) / variance
            for name, rest in residuals.items()
        }
        self.name = max(self.errors, key=lambda name: self.errors[name].mean())
        self.residuals = residuals[self.name]
        self.predicted_ends = (targets - self.residuals)[:, self.num_epochs - 1]
        self.model = candidates()[self.name].fit(features, targets)

    def rmse(self) -> float:
        """Return the error of the last value, out of fold, in its own unit."""
        last = self.measured.judged[:, -1]
        predicted = last / np.exp(self.residuals[:, self.num_epochs - 1])
        return float(np.sqrt(((last - predicted) ** 2).mean()))

    def curve(self, trial: optuna.trial.BaseTrial, rng: np.random.Generator) -> Curve:
        """Ask the space for a trial's configuration and return how it would go."""
        config = self.space.config(trial, self.fixed).to_dict()
        mean = self._predict(self.encode(config))
        distance = np.abs(self.predicted_ends - mean[self.num_epochs - 1])
        near = np.argsort(distance)[:NUM_NEAR]
        drawn = mean + self.residuals[rng.choice(near)]
        values, scores, seconds = np.split(np.exp(drawn + self.centre), 3)
        expected = float(np.exp(mean + self.centre)[self.num_epochs - 1])
        return Curve(tuple(values), tuple(seconds), float(scores[-1]), expected)

    def _predict(self, features: list[float]) -> np.ndarray:
        """Return the mean curve; scikit-learn's own way takes a forest ten times as long."""
        if not hasattr(self.model, "estimators_"):
            return self.model.predict(np.array([features]))[0]
        row = np.array([features], np.float32)
        return np.mean([tree.tree_.predict(row) for tree in self.model.estimators_], 0).ravel()
