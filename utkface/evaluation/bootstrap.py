"""Intervals by resampling whole groups of copies: how far a number could be off for want of faces.

Copies of one photograph are not independent, so a resample draws groups, with replacement, and
takes all faces of a group as often as the group was drawn. A resample is thus an integer weight
per face, and every statistic here is a function of weights: no face is ever copied.

The percentile interval (Efron & Tibshirani 1993, ch. 13) is of the faces alone: it answers "what
if other faces had been collected". What another training seed would do is not in it; the spread
over seeds is reported beside it. Where no face of a group is wrong no resample has a wrong one, so
an accuracy of 1 in a small group has an interval of no width: read its size instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from utkface.evaluation.metrics import FloatArray, IntArray, weighted_mean
from utkface.evaluation.records import Estimate
from utkface.io import UserError

CONFIDENCE_LEVEL = 0.95
#: Resamples taken together: 5,000 faces x 100 are 4 MB, which a processor's cache can hold.
CHUNK_RESAMPLES = 100

#: Takes weights (N, R), gives one value per resample in the last axis: (..., R).
Statistic = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resamples of groups of copies, the same ones for every statistic asked for.

    groups: (N,) the group of copies of each face. Because equal groups, numbers and seeds give the
    same resamples, differences between statistics are paired.
    """

    groups: IntArray
    num_resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_resamples < 1:
            raise UserError(
                f"num_resamples is {self.num_resamples}: a bootstrap needs at least 1 resample"
            )

    def samples(self, statistic: Statistic) -> FloatArray:
        """Return the statistic of every resample, (..., num_resamples)."""
        return np.concatenate([statistic(weights) for weights in self._weights()], axis=-1)

    def sample_means(self, terms: FloatArray) -> FloatArray:
        """Return the means of terms (K, N) over the faces of every resample, (K, num_resamples)."""
        return self.samples(lambda weights: weighted_mean(terms, weights))

    def _weights(self) -> Iterator[FloatArray]:
        """Yield how often each face is in each resample, chunks of (N, at most CHUNK_RESAMPLES)."""
        rng = np.random.default_rng(self.seed)
        names, group_of_face = np.unique(self.groups, return_inverse=True)
        num_groups = len(names)
        for start in range(0, self.num_resamples, CHUNK_RESAMPLES):
            num_columns = min(CHUNK_RESAMPLES, self.num_resamples - start)
            draws = rng.integers(num_groups, size=(num_columns, num_groups))
            cells = draws * num_columns + np.arange(num_columns)[:, None]
            counts = np.bincount(cells.ravel(), minlength=num_groups * num_columns)
            yield counts.reshape(num_groups, num_columns).astype(np.float64)[group_of_face]


def resample_seeds(means: FloatArray, seed: int = 0) -> FloatArray:
    """Return the mean over seeds drawn with replacement, in every resample of the faces, (..., R).

    means: (..., S, R) of each seed. The mean of S draws from S seeds varies by (S - 1) / S of what
    the mean of S new ones would, of two by half, so deviations are stretched by the root of its
    inverse (Efron & Tibshirani 1993, ch. 5). Of one seed nothing says what another would give.
    """
    num_seeds, num_resamples = means.shape[-2:]
    centre = means.mean(axis=-2)
    if num_seeds == 1:
        return centre
    drawn = np.random.default_rng(seed).integers(num_seeds, size=(num_seeds, num_resamples))
    of_drawn = means[..., drawn, np.arange(num_resamples)].mean(axis=-2)
    stretched: FloatArray = centre + np.sqrt(num_seeds / (num_seeds - 1)) * (of_drawn - centre)
    return stretched


def percentile_interval(samples: FloatArray) -> tuple[float, float]:
    """Return the ends of the central `CONFIDENCE_LEVEL` of the resamples (R,).

    Resamples in which the statistic does not exist (NaN) are left out; where it exists in none,
    the ends are NaN.
    """
    known = samples[np.isfinite(samples)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return float(low), float(high)


def estimate(value: float, samples: FloatArray) -> Estimate:
    """Return a value with its interval from samples (R,), each None where it does not exist.

    A value that does not exist for the faces themselves has no interval either.
    """
    if not np.isfinite(value):
        return Estimate(value=None, low=None, high=None)
    low, high = percentile_interval(samples)
    return Estimate(value=value, low=number_or_none(low), high=number_or_none(high))


def number_or_none(value: float | np.floating | FloatArray) -> float | None:
    """Return a plain number, or None in place of NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None
