"""Age bins and genders as classes: who is taken for whom, and how well each class is told.

A confusion counts faces, true class by predicted class; counts are means over seeds, so they may
have decimals.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from utkface.data.labels import AGE_BINS, age_bin
from utkface.evaluation.metrics import FloatArray, IntArray, ratio


class ClassScores(NamedTuple):
    """How well one class is told from all others; NaN where nothing is, or is taken for, it."""

    label: str
    num_faces: float
    precision: float
    recall: float
    f1: float


def age_confusion(age: IntArray, age_years: FloatArray) -> NDArray[np.float64]:
    """Return the confusion of age bins, (B, B), from ages (N,) and predictions (S, N) in years.

    A prediction is rounded first: labels are whole years.
    """
    num_bins = len(AGE_BINS) - 1
    cells = age_bin(age) * num_bins + age_bin(np.maximum(np.rint(age_years), 0))
    counts = [np.bincount(of_seed, minlength=num_bins**2) for of_seed in cells]
    return np.mean(counts, axis=0).reshape(num_bins, num_bins)


def class_scores(confusion: ArrayLike, labels: Sequence[str]) -> list[ClassScores]:
    """Return the scores of every class of a confusion (C, C), from true to predicted."""
    counts = np.asarray(confusion, np.float64)
    right, true, said = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    columns = (true, ratio(right, said), ratio(right, true), ratio(2 * right, true + said))
    return [ClassScores(*row) for row in zip(labels, *map(np.ndarray.tolist, columns), strict=True)]
