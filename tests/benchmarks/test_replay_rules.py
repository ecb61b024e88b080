"""The replay's own rules of early stopping on curves whose right answer is known."""

from collections import Counter

import pytest
from replay.rules import MIN_TRIALS, Hyperband, Median, bracket_sizes

HYPERBAND = Hyperband(max_epochs=12, grace_epochs=3, reduction_factor=3)


def test_brackets_begin_one_rung_later_each_and_the_last_has_none():
    assert HYPERBAND.brackets == [[3, 9], [9], []]


def test_bracket_sizes_are_the_papers():
    # Table 1 of the paper: R = 81 and η = 3 begin with 81, 34, 15, 8 and 5 configurations.
    assert bracket_sizes(5, 3) == [81, 34, 15, 8, 5]


@pytest.mark.parametrize("num_rounds", [1, 3])
def test_each_round_fills_the_brackets_and_begins_with_all_kinds(num_rounds):
    numbers = range(17 * num_rounds)
    assert Counter(map(HYPERBAND.bracket_of, numbers)) == {
        0: 9 * num_rounds, 1: 5 * num_rounds, 2: 3 * num_rounds,
    }  # fmt: skip
    assert {HYPERBAND.bracket_of(number) for number in range(5)} == {0, 1, 2}


def test_a_trial_is_judged_within_its_bracket_alone():
    first, second, other = 0, 2, 1  # the first two are of the bracket with both rungs
    assert [HYPERBAND.bracket_of(number) for number in (first, second, other)] == [0, 0, 1]
    curves = {first: {3: 1.0}, other: {3: 5.0}}
    assert not HYPERBAND.stops(curves, other)  # its bracket has no rung there
    assert HYPERBAND.stops({**curves, second: {3: 2.0}}, second)
    late = {first: {3: 1.0, 9: 1.0}, other: {3: 5.0, 9: 5.0}}
    assert not HYPERBAND.stops(late, other)  # the first of its bracket


def test_a_budget_of_one_epoch_has_nothing_to_judge():
    rule = Hyperband(max_epochs=1, grace_epochs=1, reduction_factor=3)
    assert rule.brackets == [[]]
    assert not rule.stops({0: {1: 1.0}, 1: {1: 2.0}}, 1)


MEDIAN = Median(max_epochs=6, grace_epochs=2)
#: Averages from epoch 2 on: 4.0, 3.0 and 2.0 after epoch 2; 3.0, 2.0 and 1.5 after epoch 3.
OTHERS = {0: {1: 9.0, 2: 4.0, 3: 2.0}, 1: {1: 9.0, 2: 3.0, 3: 1.0}, 2: {1: 9.0, 2: 2.0, 3: 1.0}}


@pytest.mark.parametrize(
    ("curve", "stops"),
    [
        ({1: 99.0}, False),  # before the first epoch judged
        ({1: 1.0, 2: 3.0}, False),  # as good as the median
        ({1: 1.0, 2: 3.1}, True),  # what came before does not count
        ({1: 9.0, 2: 2.0, 3: 5.0}, False),  # its best does
        ({1: 9.0, 2: 2.1, 3: 2.1}, True),
    ],
)
def test_the_best_so_far_is_compared_with_the_median_of_averages(curve, stops):
    assert MEDIAN.stops({**OTHERS, 3: curve}, 3) == stops


def test_few_trials_say_nothing():
    assert len(OTHERS) == MIN_TRIALS
    few = {number: OTHERS[number] for number in (0, 1)}
    assert not MEDIAN.stops({**few, 3: {2: 100.0}}, 3)
    shorter = {**few, 2: {1: 9.0}}  # has not come so far
    assert not MEDIAN.stops({**shorter, 3: {2: 100.0}}, 3)


def test_the_last_epoch_is_not_judged():
    curves = {number: dict.fromkeys(range(1, 7), 1.0) for number in range(3)}
    assert MEDIAN.stops({**curves, 3: {5: 2.0}}, 3)
    assert not MEDIAN.stops({**curves, 3: {6: 2.0}}, 3)
