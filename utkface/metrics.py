"""How good predictions of age and gender are: pure functions on NumPy arrays."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from utkface.data.labels import age_bin

#: The reference's published model, on whose errors `score` is scaled: 1.0 is as good as that.
REFERENCE_AGE_MAE = 4.731
REFERENCE_GENDER_ERROR = 0.061
#: The calibrated log loss, in nats, of this project's models where their gender error is that.
REFERENCE_GENDER_LOG_LOSS = 0.155

#: An age group with fewer faces says more about its few photographs than about the model.
MIN_GROUP_FACES = 10

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
Value = TypeVar("Value", float, FloatArray)


def age_mae(age: IntArray, age_years: FloatArray) -> float:
    """Return the mean absolute error in years of predictions ``age_years`` (N,)."""
    return float(np.abs(age_years - age).mean())


def gender_error(gender: IntArray, gender_probability: FloatArray) -> float:
    """Return the share of faces whose more probable gender is wrong."""
    return float(((gender_probability > 0.5) != (gender == 1)).mean())


def gender_log_loss(gender: IntArray, gender_probability: FloatArray) -> float:
    """Return the mean negative log-likelihood of the true gender, in nats."""
    return float(gender_log_losses(gender, gender_probability).mean())


def gender_log_losses(gender: IntArray, gender_probability: FloatArray) -> FloatArray:
    """Return each face's negative log-likelihood, of the probabilities' shape (..., N), in nats.

    Probabilities are kept 1e-7 away from 0 and 1, so that one sure mistake costs 16 nats at most.
    """
    of_truth = np.where(gender == 1, gender_probability, 1 - gender_probability)
    return -np.log(np.clip(of_truth.astype(np.float64), 1e-7, 1 - 1e-7))


def calibrated_gender_log_losses(gender: IntArray, gender_probability: FloatArray) -> FloatArray:
    """Return each face's log loss in nats that is left when confidence is right on the whole.

    One temperature for all faces, the best one, comes between logits and probabilities ("On
    Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599). So a model is not
    worse for label smoothing, nor for having been trained for long; what counts is how well it
    tells the genders apart, as in `gender_error`, but without the noise of counting. The result has
    the probabilities' shape (..., N); each row has a temperature of its own.
    """
    probability = np.clip(gender_probability.astype(np.float64), 1e-7, 1 - 1e-7)
    margins = np.log(probability / (1 - probability)) * np.where(gender == 1, 1, -1)
    # The loss is convex in the inverse temperature: its slope is bisected, over nine decades.
    rows = (*margins.shape[:-1], 1)
    low, high = np.full(rows, -6.0), np.full(rows, 3.0)
    for _ in range(40):
        middle = (low + high) / 2
        scaled = margins * 10**middle
        slope = -(margins / (1 + np.exp(np.minimum(scaled, 700)))).mean(axis=-1, keepdims=True)
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    return np.logaddexp(0, -margins * 10**low)


def calibrated_gender_log_loss(gender: IntArray, gender_probability: FloatArray) -> float:
    """Return the mean of `calibrated_gender_log_losses`, in nats."""
    return float(calibrated_gender_log_losses(gender, gender_probability).mean())


def worst_group_mae(
    age: IntArray, age_years: FloatArray, min_faces: int = MIN_GROUP_FACES
) -> float:
    """Return the largest age MAE of any age group with at least ``min_faces`` faces.

    Where no group has that many, it is the MAE of all faces together.
    """
    groups = age_bin(age)
    errors = np.abs(age_years - age)
    group_maes = [
        float(errors[groups == group].mean())
        for group in np.unique(groups)
        if (groups == group).sum() >= min_faces
    ]
    return max(group_maes, default=age_mae(age, age_years))


def score(mae_years: Value, error: Value) -> Value:
    """Return both errors in units of the reference's, averaged; lower is better.

    Of arrays, the same of each element: the score of many faces is the mean of their scores.
    """
    return (mae_years / REFERENCE_AGE_MAE + error / REFERENCE_GENDER_ERROR) / 2


def smooth_score(mae_years: Value, calibrated_log_loss: Value) -> Value:
    """Return what a search minimises by default: like `score`, with less noise.

    The gender error counts faces, and its chance variation hides what configurations differ by; a
    log loss tells them apart with the same faces. Both parts are in units of the reference's.
    """
    return (mae_years / REFERENCE_AGE_MAE + calibrated_log_loss / REFERENCE_GENDER_LOG_LOSS) / 2


def face_metrics(
    age: IntArray, gender: IntArray, age_years: FloatArray, gender_probability: FloatArray
) -> dict[str, float]:
    """Return all metrics of a set of faces by name, from labels and predictions (N,)."""
    mae_years = age_mae(age, age_years)
    error = gender_error(gender, gender_probability)
    calibrated_log_loss = calibrated_gender_log_loss(gender, gender_probability)
    return {
        "score": score(mae_years, error),
        "smooth_score": smooth_score(mae_years, calibrated_log_loss),
        "age_mae": mae_years,
        "gender_accuracy": 1 - error,
        "gender_error": error,
        "gender_log_loss": gender_log_loss(gender, gender_probability),
        "calibrated_gender_log_loss": calibrated_log_loss,
        "worst_group_mae": worst_group_mae(age, age_years),
    }


def face_losses(
    age: IntArray, gender: IntArray, age_years: FloatArray, gender_probability: FloatArray
) -> dict[str, FloatArray]:
    """Return those metrics of `face_metrics` that are means over faces, as a number per face.

    age, gender: (N,); age_years, gender_probability: (..., N), a row per seed, as is each result.
    """
    years = np.abs(age_years - age)
    wrong = ((gender_probability > 0.5) != (gender == 1)).astype(np.float64)
    calibrated = calibrated_gender_log_losses(gender, gender_probability)
    return {
        "score": score(years, wrong),
        "smooth_score": smooth_score(years, calibrated),
        "age_mae": years,
        "gender_error": wrong,
        "gender_log_loss": gender_log_losses(gender, gender_probability),
        "calibrated_gender_log_loss": calibrated,
    }
