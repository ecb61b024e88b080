import math

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler

from tune.study.near_points import KEPT, WIDTH, NearPoints

POINT = {"rate": 1e-3, "width": 64, "loss": "l1", "share": 0.5}


def suggest(trial):
    return {
        "rate": trial.suggest_float("rate", 1e-4, 1e-2, log=True),
        "width": trial.suggest_int("width", 32, 128, step=16),
        "loss": trial.suggest_categorical("loss", ["l1", "huber", "dldl", "ce"]),
        "share": trial.suggest_float("share", 0.0, 1.0, step=0.25),
        "depth": trial.suggest_int("depth", 1, 64, log=True),
    }


def draw(points, num_trials, near=10**9, then=None):
    """Return the trials of a study whose sampler is made anew for each, as a search does."""
    study = optuna.create_study()
    for number in range(num_trials):
        study.sampler = NearPoints(points, then or RandomSampler(seed=number), near, seed=number)
        trial = study.ask()
        study.tell(trial, suggest(trial)["rate"])
    return study.trials


def test_numbers_spread_around_the_point_by_a_share_of_their_range_and_choices_are_mostly_kept():
    trials = draw([POINT], 600)
    logs = np.log10([t.params["rate"] for t in trials])
    assert np.mean(logs) == pytest.approx(-3.0, abs=0.05)
    # A normal distribution of 0.2 of two decades, cut at ±1: hardly narrower than uncut.
    assert np.std(logs) == pytest.approx(WIDTH * 2, abs=0.03)
    same = np.mean([t.params["loss"] == "l1" for t in trials])
    assert same == pytest.approx(KEPT + (1 - KEPT) / 4, abs=0.05)


def test_what_is_drawn_is_in_its_distribution():
    edge = {"rate": 1e-2, "width": 128, "loss": "ce", "share": 0.0, "depth": 64}
    for trial in draw([edge, {"rate": 5.0, "loss": "gone", "depth": 0}], 200):
        assert 1e-4 <= trial.params["rate"] <= 1e-2
        assert trial.params["width"] in range(32, 129, 16)
        assert trial.params["share"] in (0.0, 0.25, 0.5, 0.75, 1.0)
        assert trial.params["loss"] in ("l1", "huber", "dldl", "ce")
        assert 1 <= trial.params["depth"] <= 64
        assert isinstance(trial.params["depth"], int)
        assert isinstance(trial.params["width"], int)


def test_a_parameter_that_the_point_does_not_name_is_drawn_from_all_of_its_range():
    logs = [math.log2(t.params["depth"]) for t in draw([POINT], 300)]
    thirds = np.histogram(logs, bins=3, range=(0, 6))[0]
    assert thirds.min() > 60


def test_each_trial_has_one_centre():
    low = {"rate": 1e-4, "share": 0.0}
    high = {"rate": 1e-2, "share": 1.0}
    trials = draw([low, high], 300)
    near_high = np.array([t.params["rate"] > 1e-3 for t in trials])
    shares = np.array([t.params["share"] for t in trials])
    assert 0.35 < near_high.mean() < 0.65
    assert shares[near_high].mean() - shares[~near_high].mean() > 0.5


def test_after_the_first_trials_the_other_sampler_draws_alone():
    beyond = draw([POINT], 1, near=0)[0]
    expected = optuna.create_study(sampler=RandomSampler(seed=0)).ask()
    suggest(expected)
    assert beyond.params == expected.params


def test_a_model_suggests_after_the_first_trials_together_and_from_what_they_showed():
    study = optuna.create_study()
    for number in range(40):
        tpe = TPESampler(seed=number, n_startup_trials=8, multivariate=True)
        study.sampler = NearPoints([POINT], tpe, 8, seed=number)
        trial = study.ask()
        study.tell(trial, suggest(trial)["rate"])  # the lower the better, away from the point
    rates = [t.params["rate"] for t in study.trials]
    assert np.median(rates[-10:]) < 0.5 * np.median(rates[:8])


def test_the_same_seed_draws_the_same():
    assert [t.params for t in draw([POINT], 5)] == [t.params for t in draw([POINT], 5)]


def test_without_points_the_other_sampler_draws_everything():
    expected = optuna.create_study(sampler=RandomSampler(seed=0)).ask()
    suggest(expected)
    assert draw([], 1)[0].params == expected.params
