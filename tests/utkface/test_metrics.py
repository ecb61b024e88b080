"""Metrics against answers worked out by hand."""

import math

import numpy as np
import pytest

from utkface import metrics


def means(age, gender, age_years, gender_probability) -> dict[str, float]:
    arrays = map(np.asarray, (age, gender, age_years, gender_probability))
    return metrics.face_metrics(*arrays)


def test_age_mae_is_the_mean_distance_in_years() -> None:
    found = means([10, 20, 30], [0, 0, 0], [12.0, 20.0, 26.0], [0.5] * 3)
    assert found["age_mae"] == 2.0


def test_gender_error_counts_the_wrong_ones() -> None:
    found = means([30] * 4, [0, 0, 1, 1], [30.0] * 4, [0.1, 0.9, 0.9, 0.51])
    assert (found["gender_error"], found["gender_accuracy"]) == (0.25, 0.75)


def test_gender_log_loss_is_the_mean_surprise_and_never_infinite() -> None:
    def log_loss(*probabilities: float) -> float:
        return means([30, 30], [1, 0], [30.0, 30.0], probabilities)["gender_log_loss"]

    assert log_loss(0.5, 0.75) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert log_loss(0.0, 1.0) == pytest.approx(-math.log(1e-7))


def test_the_calibrated_log_loss_does_not_depend_on_how_sure_a_model_is() -> None:
    rng = np.random.default_rng(0)
    age, gender = np.full(4000, 30), rng.integers(0, 2, 4000)
    logits = rng.normal(0, 2, 4000) + np.where(gender == 1, 2, -2)
    found = [
        means(age, gender, age, 1 / (1 + np.exp(-logits / temperature)))
        for temperature in (0.8, 1.0, 2.0, 4.0)
    ]
    losses = [of_one["calibrated_gender_log_loss"] for of_one in found]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-3)
    assert losses[0] <= min(of_one["gender_log_loss"] for of_one in found) + 1e-6
    unsure = means(age, gender, age, np.full(4000, 0.5))
    assert unsure["calibrated_gender_log_loss"] == pytest.approx(math.log(2))


def test_the_worst_group_is_found_and_small_groups_are_ignored() -> None:
    def worst(num_babies: int) -> float:
        numbers = [12, 10, num_babies]
        age = np.repeat([25, 85, 2], numbers)
        return metrics.worst_group_mae(age, age + np.repeat([1.0, 6.0, 40.0], numbers))

    assert worst(metrics.MIN_GROUP_FACES - 1) == 6.0
    assert worst(metrics.MIN_GROUP_FACES) == 40.0


def test_without_a_large_enough_group_the_worst_is_the_mean_of_all() -> None:
    assert metrics.worst_group_mae(np.array([5, 50]), np.array([6.0, 53.0])) == 2.0


def test_the_score_of_the_reference_is_one_and_halving_both_errors_halves_it() -> None:
    assert metrics.score(4.731, 0.061) == pytest.approx(1.0)
    assert metrics.score(4.731 / 2, 0.061 / 2) == pytest.approx(0.5)
    assert metrics.score(0.0, 0.061) == pytest.approx(0.5)


def test_the_smooth_score_weighs_both_tasks_in_units_of_the_reference() -> None:
    loss = metrics.REFERENCE_GENDER_LOG_LOSS
    assert metrics.smooth_score(4.731, loss) == pytest.approx(1.0)
    assert metrics.smooth_score(0.0, loss) == pytest.approx(0.5)
    assert metrics.smooth_score(4.731, 0.0) == pytest.approx(0.5)


def test_all_metrics_are_plain_numbers_and_agree_with_each_other() -> None:
    rng = np.random.default_rng(0)
    age, gender = rng.integers(0, 117, 200), rng.integers(0, 2, 200)
    result = metrics.face_metrics(
        age, gender, rng.uniform(0, 116, 200).astype(np.float32), rng.random(200, np.float32)
    )
    assert all(type(value) is float for value in result.values())
    assert result["gender_accuracy"] + result["gender_error"] == pytest.approx(1.0)
    assert result["worst_group_mae"] >= result["age_mae"]
    of_means = metrics.score(result["age_mae"], result["gender_error"])
    assert result["score"] == pytest.approx(of_means)


def test_what_is_a_mean_over_faces_is_known_face_by_face() -> None:
    rng = np.random.default_rng(0)
    age, gender = rng.integers(0, 100, 40), rng.integers(0, 2, 40)
    years, probability = age + rng.normal(0, 5, 40), rng.uniform(0, 1, 40)
    of_all = metrics.face_metrics(age, gender, years, probability)
    losses = metrics.per_face_metrics(age, gender, years, probability)
    assert set(of_all) - set(losses) == {"gender_accuracy", "worst_group_mae"}
    for name, of_faces in losses.items():
        assert of_faces.shape == (40,)
        assert of_faces.mean() == pytest.approx(of_all[name])
