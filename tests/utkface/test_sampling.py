"""How often each face is drawn, by groups and by weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utkface.config import TrainConfig
from utkface.data.labels import DECADE_BINS, age_bin
from utkface.sampling import Sampling, age_distribution, face_weights, parse_weights

#: UTKFace's own decades, in tens, as far as nine decades go.
NUM_BY_DECADE = np.array([306, 153, 734, 454, 225, 230, 132, 70, 67])


@pytest.fixture
def labels():
    """Age, gender and race of 2,371 made-up faces, in no order."""
    rng = np.random.default_rng(5)
    age = np.repeat(np.arange(9) * 10, NUM_BY_DECADE) + rng.integers(0, 10, NUM_BY_DECADE.sum())
    age = rng.permutation(age)
    return age, rng.integers(0, 2, len(age)), rng.choice(5, len(age), p=[0.5, 0.2, 0.15, 0.1, 0.05])


def config(**changes):
    defaults = {"oversample_by": "age", "oversample_balance": 0.3, "oversample_max_repeats": 1000}
    return TrainConfig(**(defaults | changes))


def draws_of(labels, settings, seed=0):
    return Sampling(*labels, settings.replace(seed=seed)).round(0)


def times_drawn(labels, settings, seed=0):
    return np.bincount(draws_of(labels, settings, seed)[0], minlength=len(labels[0]))


def expected_in_a_round(labels, settings):
    num_draws = len(draws_of(labels, settings)[0])
    return Sampling(*labels, settings).expected_draws() * num_draws / len(labels[0])


def by_decade(labels, values):
    return np.bincount(age_bin(labels[0], DECADE_BINS), weights=values, minlength=9)


def test_the_references_case(labels):
    """Each decade gets (max - n) * 0.3 + 0.1 * max more draws: worked out by hand."""
    settings = config(oversample_extra=0.1)
    #       (734 - n) * 0.3        + 73.4, rounded so that the sum 1931.1 becomes 1931
    exact = [201.8, 247.7, 73.4, 157.4, 226.1, 224.6, 254.0, 272.6, 273.5]
    extra = by_decade(labels, times_drawn(labels, settings)) - NUM_BY_DECADE
    assert np.abs(extra - exact).max() < 1
    assert extra.sum() == 1931
    np.testing.assert_array_equal(extra, [202, 248, 73, 157, 226, 225, 254, 273, 273])


@pytest.mark.parametrize("by", ["age", "age_gender", "age_race"])
def test_full_balance_draws_every_group_as_often_as_the_largest(labels, by):
    age, gender, race = labels
    second = {"age": 0 * gender, "age_gender": gender, "age_race": race}[by]
    _, group = np.unique(age_bin(age, DECADE_BINS) * 10 + second, return_inverse=True)
    drawn = times_drawn(labels, config(oversample_by=by, oversample_balance=1.0))
    counts = np.bincount(group, weights=drawn)
    assert len(counts) > 9 or by == "age"
    np.testing.assert_array_equal(counts, np.bincount(group).max())


@pytest.mark.parametrize("by", ["age", "age_gender", "age_race"])
@pytest.mark.parametrize("repeats", [1000.0, 3.5])
def test_invariants_of_a_round(labels, by, repeats):
    settings = config(oversample_by=by, oversample_extra=0.07, oversample_max_repeats=repeats)
    positions, intensive = draws_of(labels, settings)
    assert positions.dtype == np.int64
    assert intensive.dtype == bool
    assert len(positions) == len(intensive) > len(labels[0])
    # Each face once through the basic pipeline; everything else is intensive.
    np.testing.assert_array_equal(np.sort(positions[~intensive]), np.arange(len(labels[0])))
    drawn = np.bincount(positions)
    assert drawn.max() <= repeats
    assert np.abs(drawn - expected_in_a_round(labels, settings)).max() < 1, "spread evenly"


@pytest.mark.parametrize("by", ["none", "age", "age_gender", "age_race"])
def test_an_epoch_is_as_many_draws_as_there_are_faces(labels, by):
    settings = config(oversample_by=by, oversample_extra=0.07)
    for epoch in range(4):
        positions, intensive = Sampling(*labels, settings).epoch(epoch)
        assert len(positions) == len(intensive) == len(labels[0])
    assert Sampling(*labels, settings).expected_draws().sum() == pytest.approx(len(labels[0]))


def test_epochs_follow_each_other_through_the_rounds(labels):
    settings = config(oversample_balance=1.0, seed=3)
    epochs = [Sampling(*labels, settings).epoch(epoch) for epoch in range(7)]
    rounds = [Sampling(*labels, settings).round(number) for number in range(4)]
    for of_epochs, of_rounds in zip(
        map(np.concatenate, zip(*epochs, strict=True)),
        map(np.concatenate, zip(*rounds, strict=True)),
        strict=True,
    ):
        assert len(of_rounds) > len(of_epochs) > len(rounds[0][0])
        np.testing.assert_array_equal(of_epochs, of_rounds[: len(of_epochs)])


def test_without_oversampling_every_epoch_draws_all_faces_in_another_order(labels):
    sampling = Sampling(*labels, config(oversample_by="none", oversample_extra=0.5))
    (first, intensive), (second, _) = sampling.epoch(0), sampling.epoch(1)
    assert not intensive.any()
    np.testing.assert_array_equal(np.sort(first), np.arange(len(labels[0])))
    np.testing.assert_array_equal(np.sort(second), np.arange(len(labels[0])))
    assert (first != second).mean() > 0.99


def test_the_cap_counts_whole_draws_and_one_means_no_oversampling(labels):
    assert times_drawn(labels, config(oversample_balance=1.0)).max() > 5
    for repeats, most in ((5.0, 5), (4.9, 4), (2.0, 2), (1.9, 1), (1.0, 1)):
        settings = config(oversample_balance=1.0, oversample_max_repeats=repeats)
        assert times_drawn(labels, settings).max() == most


def test_rounds_differ_in_order_and_in_who_gets_the_odd_draw_but_not_in_length(labels):
    settings = config()
    first, again, other = (draws_of(labels, settings, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert len(first) == len(other)
    assert (times_drawn(labels, settings, 0) != times_drawn(labels, settings, 1)).any()
    # Shuffled: the intensive draws do not come in one block.
    intensive = draws_of(labels, settings)[1]
    halves = [half.mean() for half in np.array_split(intensive, 2)]
    assert halves[0] == pytest.approx(halves[1], abs=0.05)


def test_the_mean_over_epochs_is_what_is_expected(labels):
    settings = config(oversample_extra=0.1)
    drawn = [Sampling(*labels, settings).epoch(epoch)[0] for epoch in range(200)]
    mean = np.bincount(np.concatenate(drawn), minlength=len(labels[0])) / 200
    assert np.abs(mean - Sampling(*labels, settings).expected_draws()).max() < 0.2


def test_one_face_is_a_group():
    one = (np.array([30]), np.array([1]), np.array([4]))
    settings = config(oversample_extra=1.0)
    np.testing.assert_array_equal(draws_of(one, settings)[0], [0, 0])


def test_age_distribution_before_and_after(labels):
    even = age_distribution(*labels, config(oversample_balance=1.0))
    assert even.columns.tolist() == ["bin", "faces", "draws", "share_before", "share_after"]
    np.testing.assert_array_equal(even["faces"], NUM_BY_DECADE)
    np.testing.assert_allclose(even["share_before"], NUM_BY_DECADE / NUM_BY_DECADE.sum())
    np.testing.assert_allclose(even["share_after"], 1 / 9)
    assert even["draws"].sum() == pytest.approx(len(labels[0]))


def test_age_distribution_lists_decades_without_faces():
    table = age_distribution(np.array([5, 95]), np.zeros(2, int), np.zeros(2, int), config())
    assert len(table) == 9
    assert table["faces"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert np.isfinite(table[["draws", "share_before", "share_after"]].to_numpy()).all()


def by_weights(text, **changes):
    return config(oversample_by="weights", group_weights=text, **changes)


def test_weights_say_how_often_a_group_is_drawn(labels):
    age, gender, race = labels
    settings = by_weights("70+=3, 70+ female=2, 0-9 female black=2.5")
    drawn = times_drawn(labels, settings)
    old = age >= 70
    young = (age < 10) & (gender == 1) & (race == 1)
    assert set(drawn[old]) == {3}, "the larger of two weights, not their product"
    assert set(drawn[young]) == {2, 3}
    assert drawn[young].mean() == pytest.approx(2.5, abs=0.5 / young.sum())
    assert set(drawn[~old & ~young]) == {1}
    expected = np.where(old, 3, np.where(young, 2.5, 1))
    np.testing.assert_allclose(
        expected_in_a_round(labels, settings), expected, atol=0.5 / young.sum()
    )


@pytest.mark.parametrize(("power", "times"), [(0.0, 1), (0.5, 2), (1.0, 4), (2.0, 16)])
def test_the_power_is_the_strength_of_the_weights(labels, power, times):
    drawn = times_drawn(labels, by_weights("80+=4", group_weights_power=power))
    assert set(drawn[labels[0] >= 80]) == {times}
    assert set(drawn[labels[0] < 80]) == {1}


def test_weights_obey_the_cap_too(labels):
    drawn = times_drawn(labels, by_weights("80+=50", oversample_max_repeats=7.0))
    assert drawn.max() == 7


def test_a_weighted_group_without_a_face_is_no_harm(labels):
    settings = by_weights("110-116 male=9")
    assert len(draws_of(labels, settings)[0]) == len(labels[0])


AGE = np.array([0, 3, 4, 79, 80, 116])
GENDER = np.array([1, 0, 1, 0, 1, 0])
RACE = np.array([0, 1, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", [1, 1, 1, 1, 1, 1]),
        ("0-3=2", [2, 2, 1, 1, 1, 1]),
        ("80+=1.5", [1, 1, 1, 1, 1.5, 1.5]),
        ("all female=2", [2, 1, 2, 1, 2, 1]),
        ("all black=2", [1, 2, 2, 1, 1, 1]),
        ("4+ female indian=7", [1, 1, 1, 1, 7, 1]),
        ("0-3=2, all female=3, 79-79=1.25", [3, 2, 3, 1.25, 3, 1]),  # the largest of those it is in
    ],
)
def test_a_text_says_the_weight_of_each_face(text, weights):
    np.testing.assert_array_equal(face_weights(parse_weights(text), AGE, GENDER, RACE), weights)


ages = st.tuples(st.integers(0, 116), st.integers(0, 116)).map(sorted)
groups = st.builds(
    lambda age, gender, race, weight: f"{age}{gender}{race}={weight}",
    ages.map(lambda pair: "{}-{}".format(*pair)) | st.sampled_from(["all", "80+"]),
    st.sampled_from(["", " male", " female"]),
    st.sampled_from(["", " white", " other"]),
    st.sampled_from(["1", "1.5", "12.375"]),
)


@given(st.lists(groups).map(", ".join))
def test_reading_and_writing_are_each_others_inverse(text):
    assert ", ".join(f"{group.name}={group.weight:g}" for group in parse_weights(text)) == text
