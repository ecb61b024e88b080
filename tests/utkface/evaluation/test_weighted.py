"""Weighted metrics agree with scikit-learn on faces repeated as often as their weights say."""

import numpy as np
import pytest

from utkface.evaluation.metrics import METRICS, point_metrics
from utkface.evaluation.weighted import WeightedMetrics

NUM_FACES = 60


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    age, gender = rng.integers(1, 100, NUM_FACES), rng.integers(0, 2, NUM_FACES)
    age_years = age + rng.normal(0, 8, NUM_FACES).round()
    # One decimal only: the areas and the median have ties to get right.
    probability = np.clip(0.3 * gender + rng.random(NUM_FACES) * 0.7, 0, 1).round(1)
    return age, gender, age_years, probability


def test_integer_weights_are_repeated_faces(predictions) -> None:
    rng = np.random.default_rng(4)
    weights = rng.integers(0, 4, (NUM_FACES, 20))
    weights[:, 0] = 1
    values = WeightedMetrics(*predictions)(weights.astype(np.float64))
    for column, counts in enumerate(weights.T):
        repeated = [np.repeat(array, counts) for array in predictions]
        expected = point_metrics(*repeated)
        assert dict(zip(METRICS, values[:, column], strict=True)) == pytest.approx(expected)


def test_the_order_of_faces_does_not_matter(predictions) -> None:
    rng = np.random.default_rng(5)
    weights = rng.integers(0, 3, (NUM_FACES, 5)).astype(np.float64)
    order = rng.permutation(NUM_FACES)
    shuffled = WeightedMetrics(*(array[order] for array in predictions))(weights[order])
    np.testing.assert_allclose(shuffled, WeightedMetrics(*predictions)(weights), atol=1e-12)


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
