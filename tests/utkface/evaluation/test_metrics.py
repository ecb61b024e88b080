"""Metrics: answers by hand and by scikit-learn, under weights, and what does not exist."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from utkface import metrics as training_metrics
from utkface.data.labels import AGE_BINS, age_bin, bin_labels
from utkface.evaluation.metrics import (
    METRICS,
    WeightedMetrics,
    age_confusion,
    calibration_table,
    class_scores,
)
from utkface.evaluation.records import CalibrationBin

NUM_FACES = 60
NUM_BINS = len(AGE_BINS) - 1


def point_metrics(*of_one_seed) -> dict[str, float]:
    """Return the metrics of all faces, each counted once."""
    (values,) = WeightedMetrics(*of_one_seed)(np.ones((len(of_one_seed[0]), 1))).T
    return dict(zip(METRICS, values.tolist(), strict=True))


def test_all_metrics_of_four_faces_by_hand() -> None:
    age = np.array([10, 20, 30, 40])
    age_years = np.array([12.0, 20.0, 24.0, 60.0])  # errors +2, 0, -6, +20
    gender = np.array([0, 0, 1, 1])
    probability = np.array([0.2, 0.6, 0.7, 0.9])  # the second is a man called a woman
    values = point_metrics(age, gender, age_years, probability)
    expected = {
        "age_mae": 7,
        "age_mape": (2 / 10 + 0 + 6 / 30 + 20 / 40) / 4,
        "age_bias": 4,
        "age_within_5": 1 / 2,
        "age_within_10": 3 / 4,
        "age_rmse": math.sqrt(440 / 4),
        "age_r2": 1 - 440 / 500,
        "age_median_error": (2 + 6) / 2,
        "gender_accuracy": 3 / 4,
        "gender_precision": 2 / 3,
        "gender_recall": 1,
        "gender_f1": 4 / 5,
        "gender_roc_auc": 1,
        "gender_pr_auc": 1,
        "gender_log_loss": -math.log(0.8 * 0.4 * 0.7 * 0.9) / 4,
        "gender_brier": (0.04 + 0.36 + 0.09 + 0.01) / 4,
        "gender_ece": (0.2 + 0.6 + 0.3 + 0.1) / 4,
        "score": (7 / 4.731 + 0.25 / 0.061) / 2,
    }
    assert values == pytest.approx(expected)
    assert tuple(values) == METRICS


def test_metrics_shared_with_training_are_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    age, gender = rng.integers(1, 100, 50), rng.integers(0, 2, 50)
    age_years = age + rng.normal(0, 5, 50)
    probability = rng.random(50)
    probability[:2] = 1 - gender[:2]  # surely wrong: the log-loss is bounded in both places
    values = point_metrics(age, gender, age_years, probability)
    during_training = training_metrics.face_metrics(age, gender, age_years, probability)
    for name in ("age_mae", "gender_accuracy", "gender_log_loss", "score"):
        assert values[name] == pytest.approx(during_training[name])


def test_what_does_not_exist_is_nan_and_everything_else_is_a_number() -> None:
    values = point_metrics(
        np.full(3, 26), np.zeros(3, dtype=np.int64), np.array([25.0, 26.0, 27.0]), np.full(3, 0.1)
    )
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == {
        "age_r2",
        "gender_precision",
        "gender_recall",
        "gender_f1",
        "gender_roc_auc",
        "gender_pr_auc",
    }


def test_calibration_table_is_that_of_scikit_learn_with_empty_bins_shown() -> None:
    rng = np.random.default_rng(1)
    gender = rng.integers(0, 2, 200)
    probability = rng.random((2, 200)) * 0.75  # nothing in the last two bins
    probability[0, 0] = 0.0
    table = calibration_table(gender, probability)
    share, mean = calibration_curve(np.tile(gender, 2), probability.ravel(), n_bins=10)
    assert [row.share_female for row in table[:8]] == pytest.approx(list(share))
    assert [row.mean_probability for row in table[:8]] == pytest.approx(list(mean))
    assert sum(row.num_faces for row in table) == 200
    assert table[9] == CalibrationBin(
        low=0.9, high=1.0, num_faces=0, mean_probability=None, share_female=None
    )


def test_a_sure_probability_of_one_is_in_the_last_calibration_bin() -> None:
    table = calibration_table(np.array([1]), np.array([[1.0]]))
    assert table[-1].num_faces == 1


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    age, gender = rng.integers(1, 100, NUM_FACES), rng.integers(0, 2, NUM_FACES)
    age_years = age + rng.normal(0, 8, NUM_FACES).round()
    # One decimal only: the areas and the median have ties to get right.
    probability = np.clip(0.3 * gender + rng.random(NUM_FACES) * 0.7, 0, 1).round(1)
    return age, gender, age_years, probability


def test_metrics_are_those_of_scikit_learn(predictions) -> None:
    age, gender, age_years, probability = predictions
    called = probability > 0.5
    values = point_metrics(*predictions)
    expected = {
        "age_mape": sklearn_metrics.mean_absolute_percentage_error(age, age_years),
        "gender_brier": sklearn_metrics.brier_score_loss(gender, probability),
        "age_rmse": sklearn_metrics.root_mean_squared_error(age, age_years),
        "age_r2": sklearn_metrics.r2_score(age, age_years),
        "age_median_error": sklearn_metrics.median_absolute_error(age, age_years),
        "gender_accuracy": sklearn_metrics.accuracy_score(gender, called),
        "gender_precision": sklearn_metrics.precision_score(gender, called),
        "gender_recall": sklearn_metrics.recall_score(gender, called),
        "gender_f1": sklearn_metrics.f1_score(gender, called),
        "gender_roc_auc": sklearn_metrics.roc_auc_score(gender, probability),
        "gender_pr_auc": sklearn_metrics.average_precision_score(gender, probability),
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_integer_weights_are_repeated_faces(predictions) -> None:
    rng = np.random.default_rng(4)
    weights = rng.integers(0, 4, (NUM_FACES, 20))
    weights[:, 0] = 1
    values = WeightedMetrics(*predictions)(weights.astype(np.float64))
    for column, counts in enumerate(weights.T):
        repeated = [np.repeat(array, counts) for array in predictions]
        expected = point_metrics(*repeated)
        assert dict(zip(METRICS, values[:, column], strict=True)) == pytest.approx(expected)


def test_a_resample_of_one_man_has_only_the_metrics_that_exist(predictions) -> None:
    age, gender, age_years, _ = predictions
    weights = np.zeros((NUM_FACES, 1))
    man = np.flatnonzero(gender == 0)[0]
    weights[man] = 3
    values = dict(zip(METRICS, WeightedMetrics(*predictions)(weights)[:, 0], strict=True))
    of_him = point_metrics(*(array[[man] * 3] for array in predictions))
    assert values == pytest.approx(of_him, nan_ok=True)
    assert np.isnan(values["age_r2"])
    assert np.isnan(values["gender_roc_auc"])
    assert values["age_mae"] == abs(age_years[man] - age[man])


def test_a_prediction_is_rounded_to_whole_years_before_it_is_binned() -> None:
    confusion = age_confusion(np.array([3, 4]), np.array([[3.4, 3.6], [3.6, -0.7]]))
    expected = np.zeros((NUM_BINS, NUM_BINS))
    expected[0, 0] = expected[0, 1] = 0.5  # three years: right by the first seed alone
    expected[1, 1] = expected[1, 0] = 0.5
    assert confusion.tolist() == expected.tolist()


def test_counts_and_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 117, 500)
    years = np.clip(age + rng.normal(0, 9, 500), 0, 116).round()
    confusion = age_confusion(age, years[None])
    bins = age_bin(age), age_bin(years)
    assert (
        confusion.tolist()
        == sklearn_metrics.confusion_matrix(*bins, labels=range(NUM_BINS)).tolist()
    )
    scores = class_scores(confusion, bin_labels())
    precision, recall, f1, faces = sklearn_metrics.precision_recall_fscore_support(
        *bins, labels=range(NUM_BINS)
    )
    for name, expected in {
        "precision": precision, "recall": recall, "f1": f1, "num_faces": faces,
    }.items():  # fmt: skip
        assert [getattr(row, name) for row in scores] == pytest.approx(expected.tolist())
    assert [row.label for row in scores] == bin_labels()


def test_a_class_that_nobody_has_or_is_taken_for_has_no_scores() -> None:
    nobody, everybody = class_scores([[0, 0], [0, 5]], ["male", "female"])
    assert np.isnan([nobody.precision, nobody.recall, nobody.f1]).all()
    assert everybody[2:] == (1, 1, 1)
