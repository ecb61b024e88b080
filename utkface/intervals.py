"""Intervals for predicted ages, from validation residuals.

Split conformal prediction, conditional on the predicted age (Mondrian conformal regression: Vovk,
Gammerman and Shafer, *Algorithmic Learning in a Random World*, chapter 4). The faces of a
validation part, which the model has not been trained on, are put into bins by the age *predicted*
for them; in each bin two order statistics of the signed residuals, true minus predicted age, cut
off the same share of faces below and above. The ranks have the finite-sample correction, so that a
new face of the same kind lies in its interval with at least the level's probability, whatever the
model. Not promised is the same for

- another model: the one that gets the intervals has trained on more faces, and what holds for it is
  the coverage that the page of its evaluation measures;
- faces of another kind (other cameras, crops or people);
- each *true* age: a face of 85 that is taken for 60 gets the interval of 60 (on the test part 90 %
  of all faces were covered, but 77 % of those above 80).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from utkface.data.labels import AGE_BINS, MAX_AGE_YEARS, age_bin
from utkface.io import UserError

COVERAGE_LEVEL = 0.9
SOURCE = "validation residuals (split conformal, by predicted age)"
_MIN_FACES = 100  # of a bin: at 90 % its two ends then rest on the fifth face from either side


@dataclass(frozen=True)
class AgeIntervals:
    """What `apply_intervals` adds to predicted ages, as plain values that a model file holds."""

    level: float  # the share of faces whose true age an interval should hold
    source: str
    num_faces: int  # that the intervals were fitted on
    edges_years: list[float]  # between the bins of predicted ages
    low_years: list[float]  # per bin, added to the predicted age
    high_years: list[float]

    @classmethod
    def from_file(cls, values: Any, path: str | Path) -> Self:
        """Check the fields that a file holds; raises `UserError` that names the file."""
        try:
            intervals = cls(**values)
            ends = apply_intervals(intervals, np.arange(MAX_AGE_YEARS + 1))
            if not np.isfinite(ends).all():
                raise ValueError("an end is not a number")
        except (TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"{path} holds age intervals that cannot be read ({error}); copy it again, or use "
                "another"
            ) from error
        return intervals


def fit_intervals(
    age: ArrayLike, age_years: ArrayLike, level: float = COVERAGE_LEVEL
) -> AgeIntervals:
    """Return the intervals that validation residuals give.

    age: (N,) true ages of faces that the model was not trained on; age_years: (N,) the ages it
    predicts for them, finite; level: the share of faces whose true age an interval should hold.
    Raises `UserError` for a level that is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UserError(f"level={level} is out of range; allowed: between 0 and 1, as 0.9")
    predicted = np.asarray(age_years, dtype=np.float64)
    residuals = np.asarray(age, dtype=np.float64) - predicted
    assert residuals.ndim == 1, residuals.shape
    assert np.isfinite(residuals).all(), "an age that is no number"
    edges = _pooled_edges(predicted)
    bins = age_bin(predicted, edges)
    limits = [_limits(residuals[bins == i], level) for i in range(len(edges) - 1)]
    return AgeIntervals(
        level=float(level),
        source=SOURCE,
        num_faces=len(residuals),
        edges_years=[float(edge) for edge in edges[1:-1]],
        low_years=[low for low, _ in limits],
        high_years=[high for _, high in limits],
    )


def apply_intervals(
    intervals: AgeIntervals, age_years: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the low and the high end for predicted ages, in years between 0 and 116.

    age_years: predicted ages of any shape; both ends have that shape.
    """
    predicted = np.asarray(age_years, dtype=np.float64)
    bins = np.searchsorted(intervals.edges_years, predicted, side="right")
    low, high = (
        (predicted + np.asarray(years)[bins]).clip(0, MAX_AGE_YEARS)
        for years in (intervals.low_years, intervals.high_years)
    )
    return low, high


def _pooled_edges(predicted: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the evaluation's age bins, the small ones merged with their smaller neighbour.

    Merged, not overlapped: the promise of coverage holds for each bin of a partition. Where even
    all faces together are too few, `_limits` gives the whole range of ages.
    """
    edges = list(AGE_BINS)
    counts = np.bincount(age_bin(predicted), minlength=len(edges) - 1).tolist()
    while len(counts) > 1 and min(counts) < _MIN_FACES:
        small = counts.index(min(counts))
        neighbours = [i for i in (small - 1, small + 1) if 0 <= i < len(counts)]
        left = min(small, min(neighbours, key=counts.__getitem__))
        counts[left] += counts.pop(left + 1)
        edges.pop(left + 1)
    return tuple(edges)


def _limits(residuals: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the residuals that at most (1 - level) / 2 of faces lie below, and above.

    The k-th smallest of n, k = (n + 1) (1 - level) / 2 rounded down, and the k-th largest: a new
    residual is as likely to fall into any of the n + 1 gaps between the old ones.
    """
    # The small addend keeps 0.1 / 2 * 20, which is 1 in decimal, from being 0.99… in binary.
    rank = math.floor((len(residuals) + 1) * (1 - level) / 2 + 1e-9)
    if rank < 1:
        return -float(MAX_AGE_YEARS), float(MAX_AGE_YEARS)
    ordered = np.sort(residuals)
    return float(ordered[rank - 1]), float(ordered[-rank])
