import dataclasses
import json
import math
from argparse import Namespace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tune.options.search import SearchOptions
from tune.spaces.space import load_space
from tune.study.journal import TwinJournal, open_storage
from tune.study.sources import GivenTrials
from tune.study.study import SearchStudy
from utkface.io import UserError

FIXED = {"epochs": 9, "image_size": 32, "seed": 3}
THREE = ("age_mae", "gender_error", "worst_group_mae")
SPACE = '''"""Does the learning rate matter?"""

POINTS = [
    {"age_loss": "dldl", "max_lr": 0.005},
    {"age_loss": "dldl", "max_lr": 0.005, "dropout": 0.7},
]


def suggest(trial):
    trial.suggest_float("max_lr", 1e-4, 1e-2, log=True)
    if trial.suggest_categorical("age_loss", ["dldl", "huber"]) == "huber":
        trial.suggest_float("huber_delta_years", 1.0, 10.0)
    return {"weight_decay": 0.01}
'''


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "rate.py"
    path.write_text(SPACE)
    return load_space(path, fixed=FIXED)


@pytest.fixture
def reopen(tmp_path, space):
    def open_(name="study", fixed=FIXED, **options):
        return SearchStudy(tmp_path / f"{name}.journal", space, fixed, **options)

    return open_


def epoch(number, score, **others):
    """Return an epoch's metrics: the better the score, the worse the worst group."""
    own = {"score": score, "smooth_score": score, "age_mae": 5 * score}
    own |= {"gender_error": 0.06 * score, "worst_group_mae": 9 / score}
    return {"epoch": number, **own, **others}


def run(study, score, epochs=9):
    """Run the next trial with a constant score; return its number and last state."""
    trial = study.next_trial()
    for number in range(1, epochs + 1):
        state = study.report(trial.number, epoch(number, score))
        if state != TrialState.RUNNING:
            break
    return trial.number, state


def test_points_come_first_and_override_constants(reopen):
    study = reopen()
    first, second, third = (study.next_trial().config for _ in range(3))
    assert first["max_lr"] == second["max_lr"] == 0.005
    assert (first["dropout"], second["dropout"]) == (0.2, 0.7)
    assert first["weight_decay"] == 0.01
    assert third["max_lr"] != 0.005
    assert third["epochs"] == 9


def test_endings_are_told_as_they_were(reopen):
    study = reopen()
    assert run(study, 1.0)[1] == TrialState.COMPLETE
    assert run(study, 2.0)[1] == TrialState.PRUNED
    assert run(study, float("nan"))[1] == TrialState.PRUNED
    trial = study.next_trial()
    study.fail(trial.number, "CUDA fell over")

    complete, pruned, nan, failed = reopen().records()
    assert (complete.state, complete.score, len(complete.epochs)) == ("COMPLETE", 1.0, 9)
    assert (pruned.state, pruned.score, len(pruned.epochs)) == ("PRUNED", 2.0, 1)
    assert (nan.state, nan.score, nan.diverged) == ("PRUNED", None, True)
    assert nan.reason == "smooth_score is nan after epoch 1"
    assert not pruned.diverged
    assert (failed.state, failed.reason) == ("FAIL", "CUDA fell over")
    assert complete.epochs[2] == epoch(3, 1.0)
    assert complete.config["max_lr"] == 0.005


def test_unfinished_trials_go_on_first_with_the_same_configuration(reopen):
    study = reopen()
    run(study, 1.0)
    before = [study.next_trial() for _ in range(3)]
    study.report(before[1].number, epoch(1, 0.9))

    again = reopen()
    assert again.num_unfinished() == 3
    after = [again.next_trial() for _ in range(3)]
    assert [trial.number for trial in after] == [trial.number for trial in before]
    assert [trial.config for trial in after] == [trial.config for trial in before]
    assert [trial.epochs_done for trial in after] == [0, 1, 0]
    assert again.next_trial().number == 4
    assert again.num_started() == 5


def test_an_epoch_reported_again_is_recorded_once(reopen):
    study = reopen()
    number = study.next_trial().number
    study.report(number, epoch(1, 0.9))
    again = reopen()
    again.next_trial()
    assert again.report(number, epoch(1, 0.9)) == TrialState.RUNNING
    (record,) = again.records()
    assert [e["epoch"] for e in record.epochs] == [1]


def test_rungs_stand_after_a_restart(reopen):
    run(reopen(), 1.0)
    assert run(reopen(), 1.1)[1] == TrialState.PRUNED
    assert run(reopen(scheduler="none"), 9.0)[1] == TrialState.COMPLETE


@pytest.mark.parametrize("objectives", [("smooth_score",), THREE], ids="+".join)
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_suggestions_depend_on_the_study_alone(reopen, sampler, objectives):
    """A driver restarted before every trial suggests what an uninterrupted one does."""
    options = {"sampler": sampler, "objectives": objectives, "num_startup_trials": 3}

    def search(name, restart):
        study = reopen(name, **options)
        for i in range(7):
            if restart:
                study = reopen(name, **options)
            run(study, 1.0 + (i * 7 % 5) / 10)
        return [record.params for record in study.records()]

    steady = search("steady", restart=False)
    assert search("restarted", restart=True) == steady
    assert len({json.dumps(params) for params in steady[2:]}) >= 4  # not the same again


def test_a_start_cut_short_enqueues_each_point_once(reopen, tmp_path, space):
    for _ in range(3):
        study = reopen()
    waiting = study.study.get_trials(states=[TrialState.WAITING])
    assert len(waiting) == len(space.points) == 2


def test_a_trial_that_diverged_is_worse_than_any_at_every_later_rung(reopen):
    study = reopen(reduction_factor=2)
    number = study.next_trial().number
    assert study.report(number, epoch(1, 1.0)) == TrialState.RUNNING
    study.diverge(number, "the loss is inf in epoch 2")
    study = reopen(reduction_factor=2)
    # Alone, it would be the only arrival at the rung after two epochs: the second of two passes
    # only if it is better, and any number is better than none.
    number = study.next_trial().number
    states = [study.report(number, epoch(e, 0.5)) for e in (1, 2, 3)]
    assert states == [TrialState.RUNNING] * 3
    number = study.next_trial().number
    assert study.report(number, epoch(1, 0.9)) == TrialState.PRUNED


def test_a_driver_killed_while_it_told_of_a_divergence_has_told_it(reopen, monkeypatch):
    study = reopen()
    number = study.next_trial().number
    monkeypatch.setattr(study.study, "tell", lambda number, state: None)
    study.diverge(number, "the loss is nan")
    assert study.records()[0].state == "RUNNING"
    again = reopen()
    assert again.next_trial().number == number + 1
    (first, _) = again.records()
    assert (first.state, first.reason) == ("PRUNED", "the loss is nan")


def test_a_space_that_fails_gives_failed_trials_with_the_reason_and_then_no_more(
    reopen, tmp_path, space
):
    def fails(trial):
        trial.suggest_float("max_lr", 1e-4, 1e-2, log=True)
        raise ZeroDivisionError("division by zero")

    broken = dataclasses.replace(space, suggest=fails)
    study = SearchStudy(tmp_path / "study.journal", broken, FIXED)
    assert study.next_trial() is None
    assert study.num_failed() == 3
    assert "ZeroDivisionError: division by zero" in study.records()[0].reason
    assert reopen().next_trial().number == 3


def test_a_study_has_its_runs_first_name_and_is_found_when_the_folder_has_another(tmp_path, space):
    first = tmp_path / "rate-20260101"
    first.mkdir()
    study = SearchStudy(first / "study.journal", space, FIXED)
    run(study, 0.5)
    again = SearchStudy(first / "study.journal", GivenTrials(), FIXED, kind="confirm")
    assert study.study.study_name == "rate-20260101: search"
    assert again.study.study_name == "rate-20260101: confirm"
    moved = first.rename(tmp_path / "kept")
    reopened = SearchStudy(moved / "study.journal", space, FIXED)
    assert reopened.study.study_name == "rate-20260101: search"
    assert reopened.num_started() == 1


def test_a_study_that_was_named_by_its_kind_alone_is_found(tmp_path, space):
    journal = tmp_path / "study.journal"
    old = optuna.create_study(storage=open_storage(TwinJournal(journal)), study_name="search")
    old.add_trial(optuna.create_trial(value=0.5))
    assert len(SearchStudy(journal, space, FIXED).records()) == 1


def test_a_driver_killed_in_mid_suggestion_suggests_the_same_again(tmp_path, space):
    def begin(name, num_trials):
        study = SearchStudy(tmp_path / name, space, FIXED)
        return study, [study.next_trial().config for _ in range(num_trials)]

    _, steady = begin("a.journal", 3)
    killed, _ = begin("b.journal", 2)
    killed.study.ask()  # the trial is on disk, and nothing is drawn for it yet
    assert begin("b.journal", 3)[1] == steady


def test_several_objectives_are_told_together_and_stop_early_together(reopen):
    study = reopen(objectives=THREE)
    assert run(study, 1.0) == (0, TrialState.COMPLETE)
    # Its worst group is the best so far: no trial dominates it, whatever its score is.
    assert run(study, 2.0) == (1, TrialState.COMPLETE)
    number = study.next_trial().number
    assert study.report(number, epoch(1, 2.0, worst_group_mae=10.0)) == TrialState.PRUNED
    study = reopen(objectives=THREE)
    complete, _, pruned = study.study.trials[:3]
    assert complete.values == [5.0, 0.06, 9.0]
    assert (pruned.values, pruned.intermediate_values) == (None, {})
    first, _, third = study.records()
    assert [epoch["worst_group_mae"] for epoch in first.epochs] == [9.0] * 9
    assert (third.state, third.score, len(third.epochs)) == ("PRUNED", 2.0, 1)


def test_a_single_objective_is_what_early_stopping_judges_by(reopen):
    study = reopen(objectives=("worst_group_mae",))
    assert run(study, 1.0) == (0, TrialState.COMPLETE)
    assert run(study, 2.0) == (1, TrialState.COMPLETE)  # 4.5 years are better than 9
    assert run(study, 1.5) == (2, TrialState.PRUNED)
    assert [trial.value for trial in study.study.trials[:2]] == [9.0, 4.5]
    assert [record.score for record in study.records()] == [1.0, 2.0, 1.5]


@pytest.mark.parametrize("name", ["gender_error", "age_mae", "worst_group_mae"])
def test_a_trial_with_an_objective_that_is_no_number_diverged(reopen, name):
    study = reopen(objectives=THREE)
    number = study.next_trial().number
    assert study.report(number, epoch(1, 1.0, **{name: math.inf})) == TrialState.PRUNED
    (record,) = study.records()
    assert (record.diverged, record.reason) == (True, f"{name} is inf after epoch 1")


def test_a_journal_cut_anywhere_goes_on(reopen, tmp_path):
    """Whatever part of it is left, the whole search can be run from there."""
    options = {"fixed": {**FIXED, "epochs": 3}, "objectives": THREE}
    study = reopen(**options)
    run(study, 1.0)
    study.report(study.next_trial().number, epoch(1, 0.9))
    journal, copy = tmp_path / "study.journal", tmp_path / "backup" / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    for num_whole in range(0, len(lines), 3):
        torn = b"".join(lines[:num_whole]) + lines[num_whole][:-7]
        for file in (journal, copy):
            file.write_bytes(torn)
        again = reopen(**options)
        assert len(again.study.directions) == 3
        assert len(again.study.metric_names) == 3
        while again.num_started() < 4 or again.num_unfinished():
            run(again, 0.8)
        records = again.records()
        assert [record.number for record in records] == list(range(4))
        for record in records:
            assert [e["epoch"] for e in record.epochs] == [1, 2, 3][: len(record.epochs)]


def test_objectives_are_checked_and_kept():
    options = SearchOptions(space="fairness", objective="age_mae, gender_error")
    assert options.objectives == ("age_mae", "gender_error")
    with pytest.raises(UserError, match="'age' is unknown; did you mean age_mae"):
        SearchOptions(space="fairness", objective="age,gender_error")
    with pytest.raises(UserError, match="each once"):
        SearchOptions(space="fairness", objective="age_mae,age_mae")
    with pytest.raises(UserError, match="--objective score differs from age_mae, gender_error"):
        options.resumed_with(Namespace(objective="score"), Path(), "the search", "a new one")
