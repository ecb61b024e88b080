"""Intervals: ranks known by hand, coverage as promised, and honest where little is known."""

import numpy as np
import pytest

from utkface.intervals import apply_intervals, fit_intervals
from utkface.io import UserError


def noisy_faces(num_faces: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions whose spread grows with age and which are too young for the old."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(0, 90, num_faces)
    age = predicted + 0.1 * predicted + rng.normal(0, 1 + 0.1 * predicted)
    return age, predicted


def test_the_ends_are_the_order_statistics_of_the_conformal_ranks() -> None:
    predicted = np.full(199, 35.0)  # one bin of 199: the 10th from either side of 200 gaps
    residuals = np.random.default_rng(0).permutation(np.arange(-99, 100)) / 4
    low, high = apply_intervals(fit_intervals(35 + residuals, predicted, level=0.9), 35.0)
    assert (low, high) == (35 - 90 / 4, 35 + 90 / 4)


def test_nineteen_faces_are_the_fewest_that_say_anything_at_ninety_per_cent() -> None:
    residuals = np.arange(-9, 10)
    nineteen = fit_intervals(50 + residuals, np.full(19, 50.0))
    assert apply_intervals(nineteen, 50.0) == (41.0, 59.0)
    eighteen = fit_intervals(50 + residuals[:18], np.full(18, 50.0))
    assert apply_intervals(eighteen, 50.0) == (0.0, 116.0)
    none = fit_intervals([], [])
    assert apply_intervals(none, 50.0) == (0.0, 116.0)


def coverage(interval, age, predicted):
    """The share of faces whose true age lies in the interval of their predicted age."""
    low, high = apply_intervals(interval, predicted)
    return ((low <= age) & (age <= high)).mean()


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_new_faces_of_the_same_kind_are_covered_at_every_age(level: float) -> None:
    interval = fit_intervals(*noisy_faces(8_000), level)
    age, predicted = noisy_faces(40_000, seed=1)
    assert coverage(interval, age, predicted) == pytest.approx(level, abs=0.02)
    for start in range(0, 90, 30):  # marginal coverage alone would fail here, at both ends
        part = (start <= predicted) & (predicted < start + 30)
        assert coverage(interval, age[part], predicted[part]) == pytest.approx(level, abs=0.04)


def test_intervals_stay_within_the_ages_and_keep_the_shape() -> None:
    interval = fit_intervals(*noisy_faces(2_000))
    low, high = apply_intervals(interval, np.array([[0.0, 30.0, 116.0], [1.0, 80.0, 115.0]]))
    assert low.shape == high.shape == (2, 3)
    assert low.min() >= 0
    assert high.max() <= 116
    assert (low < high).all()


def test_small_bins_join_a_neighbour() -> None:
    age, predicted = noisy_faces(2_000)
    few_old = predicted < 82  # about 40 of the bin 80+ are left
    interval = fit_intervals(age[few_old], predicted[few_old])
    edges = np.array([-np.inf, *interval.edges_years, np.inf])
    counts = np.histogram(predicted[few_old], edges)[0]
    assert counts.min() >= 100
    assert 80 not in interval.edges_years
    assert len(interval.low_years) == len(interval.high_years) == len(counts)


@pytest.mark.parametrize("level", [0.0, 1.0, 90])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(UserError, match=f"level={level}"):
        fit_intervals([1, 2], [1.0, 2.0], level)
