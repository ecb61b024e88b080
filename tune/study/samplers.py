"""Optuna's samplers by their names on the command line, and what a search puts around them.

TPE learns from a trial that was stopped early too: with one objective from its last value; with
several it has none, and counts among the trials to keep away from. Gaussian processes, which learn
from complete trials alone, lost on the curves of ``results/curves`` with 24 trials, not with 60.
"""

import math
import warnings
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune.spaces.objectives import Settings

#: Standard deviation around a point, as a share of a parameter's range (of its logarithm where the
#: parameter is drawn so).
WIDTH = 0.2
#: How often a choice is the point's own; else it is any.
KEPT = 0.6


def make_sampler(name: str, seed: int, num_startup_trials: int) -> BaseSampler:
    """Return a new sampler, the same for the same seed; all of them take several objectives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "random":
            return RandomSampler(seed=seed)
        assert name == "tpe"
        return TPESampler(
            seed=seed,
            n_startup_trials=num_startup_trials,
            multivariate=True,
            group=True,  # conditional parameters are modelled with those they appear with
            constant_liar=True,  # trials that run at once keep away from each other
        )


class NearPoints(RandomSampler):
    """Draws trials near ``points``: each trial has one of them as its centre.

    Who writes a space knows something: its starting points are better than nearly all of its random
    configurations (``results/curves``). So the trials that a model needs before it can suggest
    anything are drawn from a distribution centred at these points rather than evenly over the
    space, which is what searches with a user's prior do (https://arxiv.org/abs/2204.11051,
    https://arxiv.org/abs/2306.12370).

    What the point does not name is drawn at random. Made anew for each suggestion, with a ``seed``
    of its own.
    """

    def __init__(self, points: Sequence[Mapping[str, Any]], seed: int) -> None:
        super().__init__(seed)
        self._rng_near = np.random.default_rng(seed)
        self._centre = points[int(self._rng_near.integers(len(points)))] if points else {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample one parameter; a random sampler samples none together."""
        if param_name in self._centre:
            centre = self._centre[param_name]
            if isinstance(param_distribution, FloatDistribution | IntDistribution):
                return self._near(centre, param_distribution)
            assert isinstance(param_distribution, CategoricalDistribution)
            if centre in param_distribution.choices and self._rng_near.random() < KEPT:
                return centre
        return super().sample_independent(study, trial, param_name, param_distribution)

    def _near(self, centre: float, distribution: FloatDistribution | IntDistribution) -> float:
        """Draw a number that the distribution can have, near one that may lie outside."""
        to_scale, from_scale = (math.log, math.exp) if distribution.log else (float, float)
        low, high = distribution.low, distribution.high
        start, end = to_scale(low), to_scale(high)
        centre = to_scale(min(max(centre, low), high))
        drawn = self._rng_near.normal(centre, WIDTH * (end - start))
        value = min(max(from_scale(min(max(drawn, start), end)), low), high)
        if distribution.step is not None:
            value = low + round((value - low) / distribution.step) * distribution.step
            value = min(value, high)
        return int(value) if isinstance(distribution, IntDistribution) else float(value)


class InformedSampler(BaseSampler):
    """Asks ``sampler`` for suggestions as if the study had had the ``known`` trials too.

    A known trial in the study itself would count, could be its best, fill its rungs and appear in
    its tables. And those numbered in ``diverged`` have no value in it, from which no sampler would
    learn to stay away; they are shown as worse than any. So the sampler is shown another study, in
    memory: the real one's trials, under their own numbers, and the known ones after them. Made anew
    for each suggestion: what it shows is the study of that moment.
    """

    _shown: Study  # from `infer_relative_search_space` on, which Optuna calls first

    def __init__(
        self, sampler: BaseSampler, known: Sequence[FrozenTrial], diverged: Container[int] = ()
    ) -> None:
        self._sampler, self._known, self._diverged = sampler, known, diverged

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters to be sampled together."""
        # Samplers find the trial that they sample for by its number: all must stand at their place.
        self._shown = optuna.create_study(directions=study.directions)
        own = map(self._without_attributes, study.get_trials(deepcopy=False))
        self._shown.add_trials([*own, *self._known])
        return self._sampler.infer_relative_search_space(self._shown, self._as_shown(trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Settings:
        """Sample parameters together."""
        return self._sampler.sample_relative(self._shown, self._as_shown(trial), search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample one parameter."""
        return self._sampler.sample_independent(
            self._shown, self._as_shown(trial), param_name, param_distribution
        )

    def _as_shown(self, trial: FrozenTrial) -> FrozenTrial:
        """Return the shown study's own trial of this number, to which a sampler may write.

        Its identity is another one where the journal holds a second study.
        """
        return self._shown.get_trials(deepcopy=False)[trial.number]

    def _without_attributes(self, trial: FrozenTrial) -> FrozenTrial:
        """Return a trial without its metrics and configuration, which are long to copy.

        TPE ranks complete trials first, then those stopped early by how far they came, those
        without any value last: there it is to take those that diverged.
        """
        if trial.state == TrialState.WAITING:
            return create_trial(state=TrialState.WAITING)
        diverged = trial.number in self._diverged
        return create_trial(
            state=trial.state,
            values=None if diverged else trial.values,
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values={} if diverged else trial.intermediate_values,
        )
