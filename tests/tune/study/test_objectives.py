"""A study of other objectives than the score: as durable as that of one."""

import math
from argparse import Namespace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tune.options.search import SearchOptions
from tune.spaces.space import load_space
from tune.study.study import SearchStudy
from utkface.io import UserError

FIXED = {"epochs": 3, "image_size": 32, "seed": 3}
THREE = ("age_mae", "gender_error", "worst_group_mae")


@pytest.fixture(scope="module")
def space():
    return load_space("fairness", fixed=FIXED)


@pytest.fixture
def reopen(tmp_path, space):
    def open_(name="study", **options):
        return SearchStudy(
            tmp_path / f"{name}.journal", space, FIXED, **{"objectives": THREE, **options}
        )

    return open_


def metrics(epoch, score=1.0, *, age_mae=None, worst=None):
    return {
        "epoch": epoch,
        "score": score,
        "age_mae": 5 * score if age_mae is None else age_mae,
        "gender_error": 0.06 * score,
        "worst_group_mae": 9 / score if worst is None else worst,
    }


def run(study, score):
    """Run the next trial with a constant score; return its number and how it ended."""
    number = study.next_trial().number
    for epoch in range(1, FIXED["epochs"] + 1):
        state = study.report(number, metrics(epoch, score))
        if state != TrialState.RUNNING:
            break
    return number, state


def test_several_objectives_are_told_together_and_stop_early_together(reopen):
    study = reopen()
    assert run(study, 1.0) == (0, TrialState.COMPLETE)
    # Its worst group is the best so far: no trial dominates it, whatever its score is.
    assert run(study, 2.0) == (1, TrialState.COMPLETE)
    number = study.next_trial().number
    assert study.report(number, metrics(1, 2.0, worst=10.0)) == TrialState.PRUNED
    complete, _, pruned = reopen().study.trials[:3]
    assert complete.values == [5.0, 0.06, 9.0]
    assert (pruned.values, pruned.intermediate_values) == (None, {})
    first, _, third = reopen().records()
    assert [epoch["worst_group_mae"] for epoch in first.epochs] == [9.0] * 3
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
    study = reopen()
    number = study.next_trial().number
    assert study.report(number, {**metrics(1), name: math.inf}) == TrialState.PRUNED
    (record,) = reopen().records()
    assert (record.diverged, record.reason) == (True, f"{name} is inf after epoch 1")


def test_a_journal_cut_anywhere_goes_on(reopen, tmp_path):
    """Whatever part of it is left, the whole search can be run from there."""
    study = reopen()
    run(study, 1.0)
    unfinished = study.next_trial().number
    study.report(unfinished, metrics(1, 0.9))
    journal, copy = tmp_path / "study.journal", tmp_path / "backup" / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    for num_whole in range(0, len(lines), 3):
        torn = b"".join(lines[:num_whole]) + lines[num_whole][:-7]
        for file in (journal, copy):
            file.write_bytes(torn)
        again = reopen()
        assert len(again.study.directions) == 3
        assert len(again.study.metric_names) == 3
        while again.num_started() < 4 or again.num_unfinished():
            run(again, 0.8)
        records = again.records()
        assert [record.number for record in records] == list(range(4))
        for record in records:
            assert [e["epoch"] for e in record.epochs] == [1, 2, 3][: len(record.epochs)]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_suggestions_depend_on_the_study_alone(reopen, sampler):
    num_trials = 6

    def search(name, restart):
        options = {"sampler": sampler, "scheduler": "none", "num_startup_trials": 3}
        study = reopen(name, **options)
        for i in range(num_trials):
            if restart:
                study = reopen(name, **options)
            run(study, 1.0 + (i * 7 % 5) / 10)
        return [record.params for record in study.records()]

    steady = search("a", restart=False)
    assert search("b", restart=True) == steady
    assert len({str(params) for params in steady}) > 0.8 * num_trials


def test_objectives_are_checked_and_kept():
    options = SearchOptions(space="fairness", objective="age_mae, gender_error")
    assert options.objectives == ("age_mae", "gender_error")
    with pytest.raises(UserError, match="'age' is unknown; did you mean age_mae"):
        SearchOptions(space="fairness", objective="age,gender_error")
    with pytest.raises(UserError, match="each once"):
        SearchOptions(space="fairness", objective="age_mae,age_mae")
    with pytest.raises(UserError, match="--objective score differs from age_mae, gender_error"):
        options.resumed_with(Namespace(objective="score"), Path(), "the search", "a new one")
