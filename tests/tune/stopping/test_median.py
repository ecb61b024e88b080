import pytest

from tune.stopping.median import MIN_TRIALS, Median

RULE = Median(max_epochs=6, grace_epochs=2)
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
    assert RULE.stops({**OTHERS, 3: curve}, 3) == stops


def test_few_trials_say_nothing():
    assert len(OTHERS) == MIN_TRIALS
    few = {number: OTHERS[number] for number in (0, 1)}
    assert not RULE.stops({**few, 3: {2: 100.0}}, 3)
    shorter = {**few, 2: {1: 9.0}}  # has not come so far
    assert not RULE.stops({**shorter, 3: {2: 100.0}}, 3)


def test_the_last_epoch_is_not_judged():
    curves = {number: dict.fromkeys(range(1, 7), 1.0) for number in range(3)}
    assert RULE.stops({**curves, 3: {5: 2.0}}, 3)
    assert not RULE.stops({**curves, 3: {6: 2.0}}, 3)
