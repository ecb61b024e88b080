"""The bootstrap: whole groups, the same resamples for all, intervals that hold what they say."""

import numpy as np
import pytest

from utkface.evaluation.bootstrap import (
    CHUNK_RESAMPLES,
    Bootstrap,
    estimate,
    percentile_interval,
    resample_seeds,
)
from utkface.evaluation.records import Estimate
from utkface.io import UserError


def test_copies_are_drawn_together_and_as_many_groups_as_there_are() -> None:
    groups = np.array([7, 3, 7, 9, 7])
    weights = Bootstrap(groups, num_resamples=CHUNK_RESAMPLES + 50).samples(lambda chunk: chunk)
    assert weights.shape == (5, CHUNK_RESAMPLES + 50)
    assert (weights[0] == weights[2]).all()
    assert (weights[0] == weights[4]).all()
    assert (weights[[0, 1, 3]].sum(axis=0) == 3).all()


def test_a_seed_repeats_its_resamples_and_fewer_are_the_first_of_more() -> None:
    first, again, fewer, other = (
        Bootstrap(np.arange(20), num, seed).samples(lambda chunk: chunk)
        for num, seed in ((350, 0), (350, 0), (30, 0), (350, 1))
    )
    assert (first == again).all()
    assert (first[:, :30] == fewer).all()
    assert (first != other).any()


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(0, 1, (1, 400))
    means = Bootstrap(np.arange(400)).sample_means(values)
    assert means.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.05)


def test_copies_widen_the_interval_as_if_they_were_one_face() -> None:
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 100), 4)[None]
    as_copies = Bootstrap(np.repeat(np.arange(100), 4)).sample_means(values)
    as_independent = Bootstrap(np.arange(400)).sample_means(values)
    assert as_copies.std() == pytest.approx(2 * as_independent.std(), rel=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    num_trials, num_groups = 300, 80
    groups = np.repeat(np.arange(num_groups), 3)
    covered = 0
    for trial in range(num_trials):
        # Copies share most of their error: without groups the interval would be far too narrow.
        shared = rng.exponential(5, num_groups)[groups]
        errors = shared + rng.normal(0, 1, len(groups))
        (means,) = Bootstrap(groups, 300, trial).sample_means(errors[None])
        low, high = percentile_interval(means)
        covered += low <= 5 <= high
    assert 0.90 <= covered / num_trials <= 0.98


@pytest.mark.parametrize("num_seeds", [2, 3, 6])
def test_seeds_spread_a_mean_as_new_seeds_would(num_seeds: int) -> None:
    of_seeds = np.random.default_rng(1).normal(size=num_seeds)
    means = np.repeat(of_seeds[:, None], 100_000, axis=1)  # faces that do not matter
    samples = resample_seeds(means)
    assert samples.mean() == pytest.approx(of_seeds.mean(), abs=0.01)
    assert samples.std() == pytest.approx(of_seeds.std(ddof=1) / num_seeds**0.5, rel=0.02)
    both = resample_seeds(np.stack([means, 2 * means]))
    np.testing.assert_allclose(both, [samples, 2 * samples])  # the same seeds for all statistics
    np.testing.assert_array_equal(resample_seeds(means[:1]), means[0])


def test_resamples_where_a_statistic_does_not_exist_are_left_out() -> None:
    samples = np.array([np.nan, *np.linspace(0, 1, 201), np.nan])
    found = estimate(0.5, samples)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def test_what_does_not_exist_at_all_is_none() -> None:
    assert estimate(np.nan, np.array([1.0, 2.0])) == Estimate()
    assert estimate(1.0, np.full(4, np.nan)) == Estimate(value=1.0)


def test_no_resamples_are_refused() -> None:
    with pytest.raises(UserError, match="num_resamples is 0"):
        Bootstrap(np.arange(3), num_resamples=0)
