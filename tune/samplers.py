"""Optuna's samplers by their names on the command line.

What they learn from a trial that was stopped early depends on the objectives. With one, TPE takes
its last value. With several it has no value: TPE counts it among the trials to keep away from, and
NSGA-II and GP leave it out, so they learn from complete trials alone.
"""

import warnings

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

#: Trials of one generation of NSGA-II. Optuna's 50 would make most searches a random one.
POPULATION_SIZE = 8


def make_sampler(name: str, seed: int, num_startup_trials: int) -> BaseSampler:
    """Return a new sampler, the same for the same seed; all of them take several objectives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "random":
            return RandomSampler(seed=seed)
        if name == "gp":
            return GPSampler(seed=seed, n_startup_trials=num_startup_trials)
        if name == "nsga2":
            return NSGAIISampler(seed=seed, population_size=POPULATION_SIZE)
        assert name == "tpe"
        return TPESampler(
            seed=seed,
            n_startup_trials=num_startup_trials,
            multivariate=True,
            group=True,  # conditional parameters are modelled with those they appear with
            constant_liar=True,  # trials that run at once keep away from each other
        )
