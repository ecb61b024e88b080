from tune.stopping.asha import Asha, passes_rung, rungs

RULE = Asha(max_epochs=9, grace_epochs=1, reduction_factor=3)


def test_rungs_stay_below_the_full_budget():
    assert rungs(30, 1, 3) == [1, 3, 9, 27]
    assert rungs(9, 1, 3) == [1, 3]
    assert rungs(8, 2, 2) == [2, 4]
    assert rungs(1, 1, 3) == []


def test_first_arrival_passes_and_later_ones_must_be_in_the_best_third():
    values, passed = [5.0, 6.0, 4.0, 4.5, 3.0, 3.5], []
    for number in range(len(values)):
        curves = {other: {1: values[other]} for other in range(number + 1)}
        passed.append(not RULE.stops(curves, number))
    # 5 is first; 6 is worse; 4 is the best so far; 4.5 and 3 compete for one place in three;
    # with six on record two pass, and 3.5 is the second best.
    assert passed == [True, False, True, False, True, True]


def test_of_two_equals_the_later_one_counts_as_worse():
    assert not passes_rung(1.0, [1.0], reduction_factor=3)
    assert passes_rung(1.0, [1.0, 2.0, 2.0, 2.0, 2.0], reduction_factor=3)


def test_nothing_is_judged_between_rungs_or_at_the_end():
    for epoch in (2, 9):
        curves = {0: {epoch: 1.0}, 1: {epoch: 100.0}}
        assert not RULE.stops(curves, 1)
