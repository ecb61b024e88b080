import math

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler

from tune.spaces.space import load_space
from tune.study.samplers import KEPT, WIDTH, NearPoints
from tune.study.study import SearchStudy

POINT = {"rate": 1e-3, "width": 64, "loss": "l1", "share": 0.5}


def suggest(trial):
    return {
        "rate": trial.suggest_float("rate", 1e-4, 1e-2, log=True),
        "width": trial.suggest_int("width", 32, 128, step=16),
        "loss": trial.suggest_categorical("loss", ["l1", "huber", "dldl", "ce"]),
        "share": trial.suggest_float("share", 0.0, 1.0, step=0.25),
        "depth": trial.suggest_int("depth", 1, 64, log=True),
    }


def draw(points, num_trials):
    """Return the trials of a study whose sampler is made anew for each, as a search does."""
    study = optuna.create_study()
    for number in range(num_trials):
        study.sampler = NearPoints(points, seed=number)
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


SPACE = '''"""Does the learning rate matter?"""

POINTS = [{"max_lr": 0.001}]


def suggest(trial):
    trial.suggest_float("max_lr", 1e-5, 1e-1, log=True)
    return {}
'''


def suggested_rates(folder, num_trials, **options):
    """Return the rates that a search suggests where the lowest are the best."""
    path = folder / "rate.py"
    path.write_text(SPACE)
    fixed = {"epochs": 1, "image_size": 32, "seed": 0}
    study = SearchStudy(folder / "study.journal", load_space(path), fixed, **options)
    rates = []
    for _ in range(num_trials):
        trial = study.next_trial()
        rates.append(trial.config["max_lr"])
        study.report(trial.number, {"epoch": 1, "smooth_score": rates[-1]})
    return rates


def test_a_search_begins_near_its_points_and_then_follows_what_it_saw(tmp_path):
    rates = suggested_rates(tmp_path, 40, num_startup_trials=10)
    assert rates[0] == 0.001
    logs = np.log10(rates[1:10])
    assert abs(np.mean(logs) + 3) < 1  # the range's other ends are two decades away
    assert np.median(rates[-10:]) < 0.1 * np.median(rates[1:10])


def test_the_random_sampler_is_left_as_it_is(tmp_path):
    rates = suggested_rates(tmp_path, 60, sampler="random")
    shares = np.histogram(np.log10(rates[1:]), bins=4, range=(-5, -1))[0] / 59
    assert shares.min() > 0.1


def test_the_same_seed_draws_the_same():
    assert [t.params for t in draw([POINT], 5)] == [t.params for t in draw([POINT], 5)]


def test_without_points_the_other_sampler_draws_everything():
    expected = optuna.create_study(sampler=RandomSampler(seed=0)).ask()
    suggest(expected)
    assert draw([], 1)[0].params == expected.params
