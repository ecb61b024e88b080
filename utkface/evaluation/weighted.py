"""All metrics of a set of faces under many weightings of them at once: what the bootstrap needs.

scikit-learn's metrics take weights, but one weighting a call: 75 s of calls for 2,000 resamples of
3 seeds and 4,741 faces, against 2 s here. Most metrics are functions of a few weighted sums, which
one matrix product gives for all resamples; the median and the two areas come from running sums over
faces sorted once. `utkface.evaluation.metrics` has the definitions; equal weights give its values.
"""

import numpy as np

from utkface.evaluation.bootstrap import ratio
from utkface.evaluation.metrics import (
    MEAN_METRICS,
    METRICS,
    NUM_CALIBRATION_BINS,
    FloatArray,
    IntArray,
    calibration_bin,
    per_face_terms,
)


class WeightedMetrics:
    """The metrics of one seed's predictions as a function of weights: (N, R) -> (16, R).

    Rows are in the order of `METRICS`. All arrays of the constructor are (N,).
    """

    def __init__(
        self,
        age: IntArray,
        gender: IntArray,
        age_years: FloatArray,
        gender_probability: FloatArray,
    ) -> None:
        error = age_years - age
        called_female = gender_probability > 0.5
        bins = calibration_bin(gender_probability)
        in_bin = bins == np.arange(NUM_CALIBRATION_BINS)[:, None]
        self._terms = np.vstack(
            [
                np.ones(len(age)),
                per_face_terms(age, gender, age_years, gender_probability),
                [error**2, age, age**2],
                [gender, called_female, gender * called_female],
                in_bin * (gender_probability - gender),
            ]
        )
        self._order = np.argsort(np.abs(error))
        self._sorted_distance = np.abs(error)[self._order]
        self._ranking = _Ranking(gender, gender_probability)

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return all metrics under integer weights (N, R)."""
        sums = self._terms @ weights
        total, rest = sums[0], sums[1:]
        means, rest = rest[: len(MEAN_METRICS)], rest[len(MEAN_METRICS) :]
        squared_error, age, age_squared, female, called_female, true_female, *bin_gaps = rest
        roc_auc, pr_auc = self._ranking.areas(weights)
        # Whole numbers up to here, so the variance of one single age is exactly zero.
        age_variation = ratio(total * age_squared - age**2, total)
        values = dict(zip(MEAN_METRICS, ratio(means, total), strict=True)) | {
            "age_rmse": np.sqrt(ratio(squared_error, total)),
            "age_r2": 1 - ratio(squared_error, age_variation),
            "age_median_error": self._median_error(weights, total),
            "gender_precision": ratio(true_female, called_female),
            "gender_recall": ratio(true_female, female),
            "gender_f1": ratio(2 * true_female, female + called_female),
            "gender_roc_auc": roc_auc,
            "gender_pr_auc": pr_auc,
            "gender_ece": ratio(np.abs(bin_gaps).sum(axis=0), total),
        }
        return np.stack([values[name] for name in METRICS])

    def _median_error(self, weights: FloatArray, total: FloatArray) -> FloatArray:
        """Return the median of the absolute errors, each counted as often as its weight says."""
        num_until = np.cumsum(weights[self._order], axis=0)
        # The mean of the two middle ones, which are one and the same for an odd number.
        lower = (num_until <= (total - 1) // 2).sum(axis=0)
        upper = (num_until <= total // 2).sum(axis=0)
        return (self._sorted_distance[lower] + self._sorted_distance[upper]) / 2


class _Ranking:
    """Faces from the likeliest female down, and the areas under the two curves of that order."""

    def __init__(self, gender: IntArray, gender_probability: FloatArray) -> None:
        self._order = np.argsort(-gender_probability, kind="stable")
        descending = gender_probability[self._order]
        self._is_female = (gender[self._order] == 1)[:, None]
        # Faces of equal probability pass a threshold together: curves bend at the last of them.
        self._last_of_ties = np.append(np.flatnonzero(np.diff(descending)), len(descending) - 1)

    def areas(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ROC-AUC (trapezia) and PR-AUC (average precision) of weights (N, R), each (R,)."""
        ranked = weights[self._order]
        num_called = np.cumsum(ranked, axis=0)[self._last_of_ties]
        num_true = np.cumsum(ranked * self._is_female, axis=0)[self._last_of_ties]
        num_false = num_called - num_true
        new_true = np.diff(num_true, axis=0, prepend=0)
        new_false = np.diff(num_false, axis=0, prepend=0)
        # Half of the newly called females are above, half below the newly called males.
        concordant = (new_false * (num_true - new_true / 2)).sum(axis=0)
        # Before the first face with any weight nothing is called, and nothing is new either.
        precision = num_true / np.maximum(num_called, 1)
        return (
            ratio(concordant, num_true[-1] * num_false[-1]),
            ratio((new_true * precision).sum(axis=0), num_true[-1]),
        )
