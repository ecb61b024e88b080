"""The metrics of one model on one set of faces: their definitions, and their point values.

Age errors are predicted minus true age, in years. Female is the positive class of gender, as in
the labels of UTKFace, and a face is called female above a probability of 0.5. A metric that does
not exist for the faces at hand (R² of one single age, ROC-AUC of one gender) is NaN here.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    median_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from utkface.metrics import score

#: Metrics that are a plain mean of one number per face, in the order of `per_face_terms`.
MEAN_METRICS = (
    "age_mae",
    "age_bias",
    "age_within_5",
    "age_within_10",
    "gender_accuracy",
    "gender_log_loss",
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

#: As in `utkface.metrics.gender_log_loss`: one sure mistake costs 16 nats at most.
MIN_PROBABILITY = 1e-7

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def per_face_terms(
    age: IntArray, gender: IntArray, age_years: FloatArray, gender_probability: FloatArray
) -> FloatArray:
    """Return one number per face for every metric that is their mean.

    age, gender: (N,); age_years, gender_probability: (..., N), one row per seed.
    The result is (len(MEAN_METRICS), ..., N).
    """
    error = age_years - age
    distance = np.abs(error)
    is_correct = (gender_probability > 0.5) == (gender == 1)
    of_truth = np.where(gender == 1, gender_probability, 1 - gender_probability)
    # The score is a weighted sum of the two errors, so it too is a mean over faces.
    face_score = score(1.0, 0.0) * distance + score(0.0, 1.0) * ~is_correct
    terms = {
        "age_mae": distance,
        "age_bias": error,
        "age_within_5": distance <= 5,
        "age_within_10": distance <= 10,
        "gender_accuracy": is_correct,
        "gender_log_loss": -np.log(np.clip(of_truth, MIN_PROBABILITY, 1 - MIN_PROBABILITY)),
        "score": face_score,
    }
    return np.stack([terms[name].astype(np.float64) for name in MEAN_METRICS])


def point_metrics(
    age: IntArray, gender: IntArray, age_years: FloatArray, gender_probability: FloatArray
) -> dict[str, float]:
    """Return all `METRICS` of one seed's predictions by name; all arrays are (N,)."""
    means = per_face_terms(age, gender, age_years, gender_probability).mean(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        gender, gender_probability > 0.5, average="binary", zero_division=np.nan
    )
    num_genders = len(np.unique(gender))
    has_spread_of_ages = age.min() < age.max()
    values = dict(zip(MEAN_METRICS, means, strict=True)) | {
        "age_rmse": root_mean_squared_error(age, age_years),
        "age_r2": r2_score(age, age_years) if has_spread_of_ages else np.nan,
        "age_median_error": median_absolute_error(age, age_years),
        "gender_precision": precision,
        "gender_recall": recall,
        "gender_f1": f1,
        "gender_roc_auc": roc_auc_score(gender, gender_probability) if num_genders == 2 else np.nan,
        "gender_pr_auc": (
            average_precision_score(gender, gender_probability) if (gender == 1).any() else np.nan
        ),
        "gender_ece": expected_calibration_error(gender, gender_probability),
    }
    return {name: float(values[name]) for name in METRICS}


def calibration_bin(gender_probability: FloatArray) -> IntArray:
    """Return the number of the bin of equal width that each probability falls in; 1 is in the last.

    The result has the shape of the argument.
    """
    bins = np.floor(gender_probability * NUM_CALIBRATION_BINS)
    return np.minimum(bins, NUM_CALIBRATION_BINS - 1).astype(np.int64)


def expected_calibration_error(gender: IntArray, gender_probability: FloatArray) -> float:
    """Return how far P(female) is from the share of females, over bins weighted by their faces.

    In bins of P(female) itself, not of the confidence in the likelier gender: a model that errs
    towards women on one side and towards men on the other is not excused.

    Chance alone keeps it above zero, and a resample adds chance: expect the bootstrap's interval to
    reach further up than down.
    """
    gaps = np.bincount(calibration_bin(gender_probability), weights=gender_probability - gender)
    return float(np.abs(gaps).sum() / len(gender))


def calibration_table(
    gender: IntArray, gender_probability: FloatArray
) -> list[dict[str, float | None]]:
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
        has_faces = bool(inside.any())
        row = {
            "low": number / NUM_CALIBRATION_BINS,
            "high": (number + 1) / NUM_CALIBRATION_BINS,
            "num_faces": float(inside.sum() / num_seeds),
            "mean_probability": float(gender_probability[inside].mean()) if has_faces else None,
            "share_female": float(is_female[inside].mean()) if has_faces else None,
        }
        table.append(row)
    return table
