"""The rules of early stopping on curves whose right answer is known."""

import math

from tune.study.stopping import (
    Asha,
    front_places,
    passes_rung,
    rungs,
    to_places,
)

ASHA = Asha(max_epochs=9, grace_epochs=1, reduction_factor=3)


def test_rungs_stay_below_the_full_budget():
    assert rungs(30, 1, 3) == [1, 3, 9, 27]
    assert rungs(9, 1, 3) == [1, 3]
    assert rungs(8, 2, 2) == [2, 4]
    assert rungs(1, 1, 3) == []


def test_first_arrival_passes_and_later_ones_must_be_in_the_best_third():
    values, passed = [5.0, 6.0, 4.0, 4.5, 3.0, 3.5], []
    for number in range(len(values)):
        curves = {other: {1: values[other]} for other in range(number + 1)}
        passed.append(not ASHA.stops(curves, number))
    # 5 is first; 6 is worse; 4 is the best so far; 4.5 and 3 compete for one place in three;
    # with six on record two pass, and 3.5 is the second best.
    assert passed == [True, False, True, False, True, True]


def test_of_two_equals_the_later_one_counts_as_worse():
    assert not passes_rung(1.0, [1.0], reduction_factor=3)
    assert passes_rung(1.0, [1.0, 2.0, 2.0, 2.0, 2.0], reduction_factor=3)


def test_nothing_is_judged_between_rungs_or_at_the_end():
    for epoch in (2, 9):
        curves = {0: {epoch: 1.0}, 1: {epoch: 100.0}}
        assert not ASHA.stops(curves, 1)


def test_fronts_come_one_after_the_other_and_nobody_comes_before_the_first():
    vectors = [(1, 4), (4, 1), (2, 5), (5, 5), (2, 2)]
    places = front_places(vectors)
    assert [places[i] for i in (0, 1, 4)] == [0, 0, 0]
    assert [math.floor(places[i]) for i in (2, 3)] == [1, 2]


def test_within_a_front_the_ends_and_the_lonely_come_first():
    second = [(0, 10), (10, 0), (4.9, 5.1), (5, 5), (5.1, 4.9), (8, 1)]
    places = front_places([(-1, -1), *second])[1:]
    assert all(1 <= place < 2 for place in places)
    assert max(places) == places[3]
    assert {places.index(place) for place in sorted(places)[:2]} == {0, 1}


def test_one_that_diverged_is_behind_all_and_equals_share_a_front():
    places = front_places([(1, 1), (math.inf, math.inf), (1, 1), (9, 9)])
    assert [math.floor(place) for place in places] == [0, 2, 0, 1]


def test_a_single_objective_is_judged_by_its_value_and_several_by_place():
    assert to_places({0: {1: (0.5,)}, 7: {1: (0.25,), 2: (0.75,)}}) == {
        0: {1: 0.5},
        7: {1: 0.25, 2: 0.75},
    }
    places = to_places({0: {1: (1.0, 1.0)}, 7: {1: (2.0, 2.0), 2: (3.0, 3.0)}})
    assert places == {0: {1: 0.0}, 7: {1: 1.0, 2: 0.0}}
