"""The metrics of one model on one set of faces, under one or many weightings of them at once.

Age errors are predicted minus true age, in years. Female is the positive class of gender, as in
the labels of UTKFace, and a face is called female above a probability of 0.5. A metric that does
not exist for the faces at hand (R² of one single age, ROC-AUC of one gender) is NaN here.

scikit-learn's metrics take one weighting a call: a bootstrap is 40 times as slow. Here most are
functions of a few weighted sums, which one matrix product gives for all resamples; the median and
the two areas come from running sums over faces sorted once. Tests hold all to scikit-learn's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from utkface.data.labels import AGE_BINS, age_bin
from utkface.evaluation.records import CalibrationBin
from utkface.metrics import per_face_metrics

#: Metrics that are a plain mean of one number per face, in the order of `per_face_terms`.
MEAN_METRICS = (
    "age_mae",
    "age_mape",
    "age_bias",
    "age_within_5",
    "age_within_10",
    "gender_accuracy",
    "gender_log_loss",
    "gender_brier",
    "score",
)
METRICS = (
    *MEAN_METRICS,
    "age_rmse",
    "age_r2",
    "age_median_error",
    "gender_precision",
    "gender_recall",
    "gender_f1",
    "gender_roc_auc",
    "gender_pr_auc",
    "gender_ece",
)

NUM_CALIBRATION_BINS = 10

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def per_face_terms(
    age: IntArray, gender: IntArray, age_years: FloatArray, gender_probability: FloatArray
) -> FloatArray:
    """Return one number per face for every metric that is their mean.

    age, gender: (N,); age_years, gender_probability: (..., N), one row per seed.
    The result is (len(MEAN_METRICS), ..., N).
    """
    metrics = per_face_metrics(age, gender, age_years, gender_probability)
    distance = metrics["age_mae"]
    terms = {
        **metrics,
        "age_mape": distance / np.maximum(age, 1),  # of the youngest, as of one year
        "age_bias": age_years - age,
        "age_within_5": distance <= 5,
        "age_within_10": distance <= 10,
        "gender_accuracy": 1 - metrics["gender_error"],
        "gender_brier": (gender_probability - gender) ** 2,
    }
    return np.stack([terms[name].astype(np.float64) for name in MEAN_METRICS])


class WeightedMetrics:
    """The metrics of one seed's predictions as a function of weights: (N, R) -> (18, R).

    Rows are in the order of `METRICS`. All arrays of the constructor are (N,).

    The calibration error (ECE) is how far P(female) is from the share of females, over bins
    weighted by their faces: bins of P(female) itself, not of the confidence in the likelier gender,
    so that a model that errs towards women on one side and towards men on the other is not excused.
    Chance alone keeps it above zero, and a resample adds chance: expect its interval to reach
    further up than down.
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
        self._by_distance = np.argsort(np.abs(error))
        self._sorted_distance = np.abs(error)[self._by_distance]
        self._by_probability = np.argsort(-gender_probability, kind="stable")
        descending = gender_probability[self._by_probability]
        self._is_female = (gender[self._by_probability] == 1)[:, None]
        # Faces of equal probability pass a threshold together: curves bend at the last of them.
        self._last_of_ties = np.append(np.flatnonzero(np.diff(descending)), len(descending) - 1)

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return all metrics under integer weights (N, R)."""
        sums = self._terms @ weights
        total, rest = sums[0], sums[1:]
        means, rest = rest[: len(MEAN_METRICS)], rest[len(MEAN_METRICS) :]
        squared_error, age, age_squared, female, called_female, true_female, *bin_gaps = rest
        roc_auc, pr_auc = self._areas(weights)
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
        num_until = np.cumsum(weights[self._by_distance], axis=0)
        # The mean of the two middle ones, which are one and the same for an odd number.
        lower = (num_until <= (total - 1) // 2).sum(axis=0)
        upper = (num_until <= total // 2).sum(axis=0)
        return (self._sorted_distance[lower] + self._sorted_distance[upper]) / 2

    def _areas(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ROC-AUC (trapezia) and PR-AUC (average precision) of weights (N, R), each (R,)."""
        ranked = weights[self._by_probability]  # from the likeliest female down
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


def calibration_bin(gender_probability: FloatArray) -> IntArray:
    """Return the number of the bin of equal width that each probability falls in; 1 is in the last.

    The result has the shape of the argument.
    """
    bins = np.floor(gender_probability * NUM_CALIBRATION_BINS)
    return np.minimum(bins, NUM_CALIBRATION_BINS - 1).astype(np.int64)


def calibration_table(gender: IntArray, gender_probability: FloatArray) -> list[CalibrationBin]:
    """Return what was predicted and what was true in each bin of P(female).

    gender: (N,); gender_probability: (S, N). Seeds are taken together, and ``num_faces`` is the
    mean over seeds; an empty bin has None for its mean probability and share.
    """
    num_seeds = len(gender_probability)
    bins = calibration_bin(gender_probability)
    is_female = np.broadcast_to(gender == 1, bins.shape)
    table = []
    for number in range(NUM_CALIBRATION_BINS):
        inside = bins == number
        row = CalibrationBin(
            low=number / NUM_CALIBRATION_BINS,
            high=(number + 1) / NUM_CALIBRATION_BINS,
            num_faces=float(inside.sum() / num_seeds),
            mean_probability=float(gender_probability[inside].mean()) if inside.any() else None,
            share_female=float(is_female[inside].mean()) if inside.any() else None,
        )
        table.append(row)
    return table


class ClassScores(NamedTuple):
    """How well one class is told from all others; NaN where nothing is, or is taken for, it."""

    label: str
    num_faces: float
    precision: float
    recall: float
    f1: float


def age_confusion(age: IntArray, age_years: FloatArray) -> NDArray[np.float64]:
    """Return the confusion of age bins, (B, B), from ages (N,) and predictions (S, N) in years.

    It counts faces, true bin by predicted bin, as means over seeds, so with decimals. A prediction
    is rounded first: labels are whole years.
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


def weighted_mean(terms: FloatArray, weights: FloatArray) -> FloatArray:
    """Return means of terms (K, N) under weights (N, R), as (K, R); NaN where no weight is."""
    return ratio(terms @ weights, weights.sum(axis=0))


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, broadcast, with NaN where the denominator is not above zero."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
