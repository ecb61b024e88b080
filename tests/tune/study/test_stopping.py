"""What every scheduler promises, whatever its rule: a search's decisions follow from its record."""

import json
import random

import optuna
import pytest
from optuna.trial import TrialState

from tune.options.search import SCHEDULERS
from tune.spaces.space import load_space
from tune.study.stopping import make_rule, to_places
from tune.study.store import ARRIVAL, curves_until, recorded_epochs
from tune.study.study import SearchStudy

MAX_EPOCHS = 9
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


@pytest.fixture
def reopen(tmp_path, scheduler, objectives):
    space = load_space("quick", fixed=FIXED)

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


def test_the_last_epoch_ends_a_trial_as_complete_however_poor(reopen, scheduler):
    rule = make_rule(scheduler, MAX_EPOCHS, grace_epochs=2, reduction_factor=2)
    assert all(epoch < MAX_EPOCHS for epoch in rule.epochs)
    curves = {n: dict(enumerate(curve(n), start=1)) for n in range(9)}
    worst = dict.fromkeys(range(1, MAX_EPOCHS + 1), 100.0)
    assert not rule.stops({**curves, 9: worst}, 9)
