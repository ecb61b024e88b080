import math

from tune.stopping.fronts import front_places, to_places


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
