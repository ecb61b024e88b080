from collections import Counter

import pytest

from tune.stopping.hyperband import Hyperband, bracket_sizes

RULE = Hyperband(max_epochs=12, grace_epochs=3, reduction_factor=3)


def test_brackets_begin_one_rung_later_each_and_the_last_has_none():
    assert RULE.brackets == [[3, 9], [9], []]


def test_bracket_sizes_are_the_papers():
    # Table 1 of the paper: R = 81 and η = 3 begin with 81, 34, 15, 8 and 5 configurations.
    assert bracket_sizes(5, 3) == [81, 34, 15, 8, 5]


@pytest.mark.parametrize("num_rounds", [1, 3])
def test_each_round_fills_the_brackets_and_begins_with_all_kinds(num_rounds):
    numbers = range(17 * num_rounds)
    assert Counter(map(RULE.bracket_of, numbers)) == {
        0: 9 * num_rounds, 1: 5 * num_rounds, 2: 3 * num_rounds,
    }  # fmt: skip
    assert {RULE.bracket_of(number) for number in range(5)} == {0, 1, 2}


def test_a_trial_is_judged_within_its_bracket_alone():
    first, second, other = 0, 2, 1  # the first two are of the bracket with both rungs
    assert [RULE.bracket_of(number) for number in (first, second, other)] == [0, 0, 1]
    curves = {first: {3: 1.0}, other: {3: 5.0}}
    assert not RULE.stops(curves, other)  # its bracket has no rung there
    assert RULE.stops({**curves, second: {3: 2.0}}, second)
    late = {first: {3: 1.0, 9: 1.0}, other: {3: 5.0, 9: 5.0}}
    assert not RULE.stops(late, other)  # the first of its bracket


def test_a_budget_of_one_epoch_has_nothing_to_judge():
    rule = Hyperband(max_epochs=1, grace_epochs=1, reduction_factor=3)
    assert rule.brackets == [[]]
    assert not rule.stops({0: {1: 1.0}, 1: {1: 2.0}}, 1)
