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


def worst_group_mae(age: IntArray, age_years: FloatArray) -> float:
    """Return the largest age MAE of any age group with at least `MIN_GROUP_FACES` faces.

    Where no group has that many, it is the MAE of all faces together.
    """
    groups, errors = age_bin(age), np.abs(age_years - age)
    of_groups = (errors[groups == group] for group in np.unique(groups))
    maes = [float(of_group.mean()) for of_group in of_groups if len(of_group) >= MIN_GROUP_FACES]
    return max(maes, default=float(errors.mean()))


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
    metrics = {}
    for name, of_faces in per_face_metrics(age, gender, age_years, gender_probability).items():
        mean = float(of_faces.mean())
        if name == "gender_error":
            metrics["gender_accuracy"] = 1 - mean
        metrics[name] = mean
    # Of the means, so that they equal what is said of the errors beside them to the last digit.
    metrics["score"] = score(metrics["age_mae"], metrics["gender_error"])
    metrics["smooth_score"] = smooth_score(
        metrics["age_mae"], metrics["calibrated_gender_log_loss"]
    )
    return {**metrics, "worst_group_mae": worst_group_mae(age, age_years)}


def per_face_metrics(
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
