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
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

#: Standard deviation around a point, as a share of a parameter's range (of its logarithm where the
#: parameter is drawn so).
WIDTH = 0.2
#: How often a choice is the point's own; else it is any.
KEPT = 0.6


class NearPoints(RandomSampler):
    """Draws trials near ``points``: each trial has one of them as its centre.

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
            if not isinstance(param_distribution, CategoricalDistribution):
                assert isinstance(param_distribution, (FloatDistribution, IntDistribution))
                return self._near(centre, param_distribution)
            if centre in param_distribution.choices and self._rng_near.random() < KEPT:
                return centre
        return super().sample_independent(study, trial, param_name, param_distribution)

    def _near(self, centre: float, distribution: FloatDistribution | IntDistribution) -> float:
        """Draw a number that the distribution can have, near one that may lie outside."""
        low, high = distribution.low, distribution.high
        centre = min(max(centre, low), high)
        if distribution.log:
            ends = math.log(low), math.log(high)
            drawn = self._rng_near.normal(math.log(centre), WIDTH * (ends[1] - ends[0]))
            value = math.exp(min(max(drawn, ends[0]), ends[1]))
        else:
            value = self._rng_near.normal(centre, WIDTH * (high - low))
        value = min(max(value, low), high)
        if distribution.step is not None:
            value = low + round((value - low) / distribution.step) * distribution.step
            value = min(value, high)
        return int(value) if isinstance(distribution, IntDistribution) else float(value)
