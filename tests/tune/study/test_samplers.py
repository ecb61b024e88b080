import math

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from tune.spaces.space import load_space
from tune.study.samplers import KEPT, WIDTH, InformedSampler, NearPoints, make_sampler
from tune.study.study import SearchStudy

optuna.logging.set_verbosity(optuna.logging.ERROR)
FIXED = {"epochs": 9, "image_size": 32, "seed": 3}
RANGE = {"x": FloatDistribution(0, 10)}
#: Twenty trials of an earlier search, in which the lowest values lay around 7.
KNOWN = [create_trial(params={"x": i / 2}, distributions=RANGE, value=(i / 2 - 7) ** 2)
         for i in range(20)]  # fmt: skip


def ask(study, seed):
    study.sampler = InformedSampler(make_sampler("tpe", seed, num_startup_trials=5), KNOWN)
    trial = study.ask()
    return trial, trial.suggest_float("x", 0, 10)


def test_the_first_suggestions_lie_where_earlier_searches_were_good():
    study = optuna.create_study()
    found = [ask(study, seed)[1] for seed in range(5)]
    assert sum(5 < x < 9 for x in found) >= 4
    assert len(study.trials) == 5  # none but its own
    with pytest.raises(ValueError, match="No trials are completed"):
        _ = study.best_trial


def test_own_trials_are_learned_from_beside_the_known_ones():
    """What the study finds at 2 outweighs what was known of 7."""
    study = optuna.create_study()
    for seed in range(20):
        trial, x = ask(study, seed)
        study.tell(trial, -1000 + (x - 2) ** 2)
    found = [ask(study, seed)[1] for seed in range(20, 25)]
    assert sum(x < 5 for x in found) >= 4


def test_a_suggestion_depends_on_the_seed_and_the_study_alone():
    def search():
        study = optuna.create_study()
        study.enqueue_trial({"x": 1.0})
        values = []
        for seed in range(6):
            trial, x = ask(study, seed)
            values.append(x)
            if seed == 3:
                study.tell(trial, state=TrialState.FAIL)
            elif seed != 4:  # still running
                study.tell(trial, x)
        return values

    first = search()
    assert first == search()
    assert first[0] == 1.0
    assert len(set(first)) == 6


def test_a_second_study_in_the_storage_is_no_harm():
    """Its trials take identities, so that a trial's own is no longer its number."""
    storage = optuna.storages.InMemoryStorage()
    other = optuna.create_study(storage=storage, study_name="other")
    for _ in range(7):
        other.tell(other.ask(), 0.0)
    study = optuna.create_study(storage=storage, study_name="search")
    alone = optuna.create_study()
    for seed in range(4):
        (trial, x), (_, expected) = ask(study, seed), ask(alone, seed)
        assert x == expected
        study.tell(trial, x)
        alone.tell(seed, x)


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


def test_the_same_seed_draws_the_same():
    assert [t.params for t in draw([POINT], 5)] == [t.params for t in draw([POINT], 5)]


def test_without_points_the_other_sampler_draws_everything():
    expected = optuna.create_study(sampler=RandomSampler(seed=0)).ask()
    suggest(expected)
    assert draw([], 1)[0].params == expected.params


def rates(folder, low, high, points=(), more="pass"):
    """Return a space that asks for a learning rate, and for what one more line suggests."""
    path = folder / "rates.py"
    path.write_text(
        f'"""Which rate?"""\n\nPOINTS = {[*points]}\n\n\ndef suggest(trial):\n'
        f'    trial.suggest_float("max_lr", {low}, {high}, log=True)\n    {more}\n    return {{}}\n'
    )
    return load_space(path, fixed=FIXED)


def test_the_sampler_stays_away_from_where_trials_diverge(tmp_path):
    """Rates above 8e-3 diverge: of the last 18 of 24 trials, few still try one."""
    space = rates(tmp_path, 1e-4, 1e-1)

    def num_diverged(seed, tell):
        study = SearchStudy(
            tmp_path / f"{tell}-{seed}.journal", space, {**FIXED, "epochs": 1, "seed": seed},
            scheduler="none", num_startup_trials=5,
        )  # fmt: skip
        diverged = []
        for _ in range(24):
            trial = study.next_trial()
            rate = trial.config["max_lr"]
            diverged.append(rate > 8e-3)
            if diverged[-1]:
                getattr(study, tell)(trial.number, "the loss is nan")
            else:
                study.report(
                    trial.number, {"epoch": 1, "smooth_score": 2 - rate * 100}
                )  # up to there, more is better
        return sum(diverged[6:])

    told, untold = ([num_diverged(seed, how) for seed in range(3)] for how in ("diverge", "fail"))
    assert max(told) <= 12
    assert sum(told) < sum(untold)


def test_what_points_leave_out_is_drawn_for_each_of_them(tmp_path):
    more = 'trial.suggest_float("dropout", 0.0, 0.5)'
    space = rates(tmp_path, 1e-4, 1e-2, points=[{"max_lr": 0.005}] * 3, more=more)
    study = SearchStudy(tmp_path / "study.journal", space, FIXED)
    configs = [study.next_trial().config for _ in range(4)]
    assert [config["max_lr"] for config in configs[:3]] == [0.005] * 3
    assert len({config["dropout"] for config in configs}) == 4


def test_until_trials_have_a_result_many_workers_get_what_is_near_the_points(tmp_path):
    """As many as there are workers are drawn before any is of use to a model."""
    space = rates(tmp_path, 1e-6, 1.0, points=[{"max_lr": 1e-3}])
    study = SearchStudy(tmp_path / "study.journal", space, FIXED, num_startup_trials=5)
    drawn = [study.next_trial().config["max_lr"] for _ in range(40)]
    assert np.std(np.log10(drawn)) == pytest.approx(0.2 * 6, rel=0.3)  # evenly drawn: 1.7


def suggested_rates(folder, num_trials, **options):
    """Return the rates that a search suggests where the lowest are the best."""
    space, fixed = rates(folder, 1e-5, 1e-1, points=[{"max_lr": 0.001}]), {**FIXED, "epochs": 1}
    study = SearchStudy(folder / "study.journal", space, fixed, **options)
    for _ in range(num_trials):
        trial = study.next_trial()
        study.report(trial.number, {"epoch": 1, "smooth_score": trial.config["max_lr"]})
    return [record.params["max_lr"] for record in study.records()]


def test_a_search_begins_near_its_points_and_then_follows_what_it_saw(tmp_path):
    found = suggested_rates(tmp_path, 40, num_startup_trials=10)
    assert found[0] == 0.001
    logs = np.log10(found[1:10])
    assert abs(np.mean(logs) + 3) < 1  # the range's other ends are two decades away
    assert np.median(found[-10:]) < 0.1 * np.median(found[1:10])


def test_the_random_sampler_is_left_as_it_is(tmp_path):
    found = suggested_rates(tmp_path, 60, sampler="random")
    shares = np.histogram(np.log10(found[1:]), bins=4, range=(-5, -1))[0] / 59
    assert shares.min() > 0.1
