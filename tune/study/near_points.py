"""A search's first suggestions, drawn around the points that it tries first.

Who writes a space knows something: its starting points are better than nearly all of its random
configurations (``results/curves``). So the trials that a model needs before it can suggest anything
are drawn from a distribution centred at these points rather than evenly over the space, which is
what searches with a user's prior do (https://arxiv.org/abs/2204.11051,
https://arxiv.org/abs/2306.12370).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

#: Standard deviation around a point, as a share of a parameter's range (of its logarithm where the
#: parameter is drawn so).
WIDTH = 0.2
#: How often a choice is the point's own; else it is any.
KEPT = 0.6


class NearPoints(BaseSampler):
    """Draws the first ``num_trials`` trials of a study near ``points``; ``then`` draws the others.

    Each trial has one point as its centre. A parameter that the point does not name is left to
    ``then``'s independent sampling. Made anew for each suggestion, with a ``seed`` of its own.
    """

    def __init__(
        self, points: Sequence[Mapping[str, Any]], then: BaseSampler, num_trials: int, seed: int
    ) -> None:
        self._then, self._num_trials = then, num_trials
        self._rng = np.random.default_rng(seed)
        self._centre = points[int(self._rng.integers(len(points)))] if points else {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what is sampled together: nothing near a point."""
        if trial.number < self._num_trials:
            return {}
        return self._then.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample parameters together."""
        if trial.number < self._num_trials:
            return {}
        return self._then.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample one parameter."""
        if trial.number < self._num_trials and param_name in self._centre:
            centre = self._centre[param_name]
            if not isinstance(param_distribution, CategoricalDistribution):
                assert isinstance(param_distribution, (FloatDistribution, IntDistribution))
                return self._near(centre, param_distribution)
            if centre in param_distribution.choices and self._rng.random() < KEPT:
                return centre
        return self._then.sample_independent(study, trial, param_name, param_distribution)

    def _near(self, centre: float, distribution: FloatDistribution | IntDistribution) -> float:
        """Draw a number that the distribution can have, near one that may lie outside."""
        low, high = distribution.low, distribution.high
        centre = min(max(centre, low), high)
        if distribution.log:
            ends = math.log(low), math.log(high)
            drawn = self._rng.normal(math.log(centre), WIDTH * (ends[1] - ends[0]))
            value = math.exp(min(max(drawn, ends[0]), ends[1]))
        else:
            value = self._rng.normal(centre, WIDTH * (high - low))
        value = min(max(value, low), high)
        if distribution.step is not None:
            value = low + round((value - low) / distribution.step) * distribution.step
            value = min(value, high)
        return int(value) if isinstance(distribution, IntDistribution) else float(value)
