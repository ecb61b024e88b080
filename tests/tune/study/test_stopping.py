"""Early stopping: rules on curves whose answer is known, and a search that follows its record."""

import json
import math
import random

import optuna
import pytest
from optuna.trial import TrialState

from tune.options.search import SCHEDULERS
from tune.spaces.space import load_space
from tune.study.stopping import Asha, front_places, make_rule, passes_rung, rungs, to_places
from tune.study.store import ARRIVAL, curves_until, recorded_epochs
from tune.study.study import SearchStudy

MAX_EPOCHS = 9
ASHA = Asha(MAX_EPOCHS, grace_epochs=1, reduction_factor=3)
FIXED = {"epochs": MAX_EPOCHS, "image_size": 32, "seed": 0}

optuna.logging.set_verbosity(optuna.logging.ERROR)


def curve(number):
    """A trial's scores: they fall towards a level of its own, with noise."""
    chance = random.Random(number)
    level = chance.uniform(1, 3)
    return [level + 3 / epoch + chance.gauss(0, 0.2) for epoch in range(1, MAX_EPOCHS + 1)]


def scores(number, epoch):
    score = curve(number)[epoch - 1]
    return {
        "epoch": epoch,
        "score": score,
        "age_mae": 5 * score,
        "gender_error": score + number % 3,
    }


@pytest.fixture(params=SCHEDULERS)
def scheduler(request):
    return request.param


@pytest.fixture(params=[("age_mae",), ("age_mae", "gender_error")], ids="+".join)
def objectives(request):
    return request.param


@pytest.fixture(scope="module")
def space():
    return load_space("quick", fixed=FIXED)


@pytest.fixture
def reopen(tmp_path, space, scheduler, objectives):
    def open_(name="study"):
        return SearchStudy(
            tmp_path / f"{name}.journal", space, FIXED, objectives=objectives, sampler="random",
            scheduler=scheduler, grace_epochs=2, reduction_factor=2,
        )  # fmt: skip

    return open_


def search(reopen, name, num_trials=9, restart_every=None):
    """Run trials three at a time, each epoch by a random one; return how each ended."""
    chance, study, running, num_begun, num_steps = random.Random(1), reopen(name), {}, 0, 0
    while num_begun < num_trials or running:
        if restart_every and num_steps % restart_every == restart_every - 1:
            study = reopen(name)
            for _ in running:
                study.next_trial()
        if len(running) < 3 and num_begun < num_trials:
            running[study.next_trial().number] = 0
            num_begun += 1
        number = chance.choice(sorted(running))
        running[number] += 1
        if study.report(number, scores(number, running[number])) != TrialState.RUNNING:
            del running[number]
        num_steps += 1
    return [(record.state, len(record.epochs)) for record in reopen(name).records()]


def test_a_search_that_is_restarted_decides_as_one_that_is_not(reopen, scheduler):
    steady = search(reopen, "steady")
    assert search(reopen, "restarted", restart_every=4) == steady
    stopped = [state for state, _ in steady if state == "PRUNED"]
    assert bool(stopped) == (scheduler != "none")


def test_a_decision_depends_on_earlier_arrivals_alone(reopen, scheduler, objectives):
    """Asked again when all is over, each judgement is what it was; so it is without the later."""
    search(reopen, "study")
    rule = make_rule(scheduler, MAX_EPOCHS, grace_epochs=2, reduction_factor=2)
    trials = reopen().study.get_trials()
    for trial in trials:
        for epoch, row in recorded_epochs(trial).items():
            curves = curves_until(trials, trial.number, epoch, objectives)
            ends_here = epoch == max(recorded_epochs(trial))
            if epoch < MAX_EPOCHS:
                stopped = ends_here and trial.state == TrialState.PRUNED
                places = to_places(curves)
                undominated = len(objectives) > 1 and places[trial.number][epoch] == 0
                assert (rule.stops(places, trial.number) and not undominated) == stopped
            num_seen = sum(map(len, curves.values()))
            assert num_seen == row[ARRIVAL] + 1


def test_a_trial_that_fails_later_was_there_when_others_were_judged(reopen, scheduler):
    study = reopen()
    for number in range(4):
        study.next_trial()
        study.report(number, scores(number, 1))
        study.report(number, scores(number, 2))
    before = json.dumps(curves_until(study.study.trials, 3, 2, ["score"]))
    for number in [t.number for t in study.study.get_trials(states=[TrialState.RUNNING])]:
        study.fail(number, "a lost worker")
    assert json.dumps(curves_until(study.study.trials, 3, 2, ["score"])) == before


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
