import json

import pytest
from optuna.trial import TrialState

from tune.spaces import load_space
from tune.study import SearchStudy

FIXED = {"epochs": 9, "image_size": 32, "seed": 3}
SPACE = '''"""Does the learning rate matter?"""

POINTS = [{"max_lr": 0.005}, {"max_lr": 0.005, "dropout": 0.7}]


def suggest(trial):
    trial.suggest_float("max_lr", 1e-4, 1e-2, log=True)
    if trial.suggest_categorical("age_loss", ["dldl", "huber"]) == "huber":
        trial.suggest_float("huber_delta_years", 1.0, 10.0)
    return {"weight_decay": 0.01}
'''


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "rate.py"
    path.write_text(SPACE.replace('{"max_lr": 0.005', '{"age_loss": "dldl", "max_lr": 0.005'))
    return load_space(path, fixed=FIXED)


@pytest.fixture
def reopen(tmp_path, space):
    def open_(**options):
        return SearchStudy(tmp_path / "study.journal", space, FIXED, **options)

    return open_


def epoch(number, score):
    return {"epoch": number, "score": score, "age_mae": 5 * score}


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
    assert run(study, float("nan"))[1] == TrialState.FAIL
    trial = study.next_trial()
    study.fail(trial.number, "CUDA fell over")

    complete, pruned, nan, failed = reopen().records()
    assert (complete.state, complete.score, len(complete.epochs)) == ("COMPLETE", 1.0, 9)
    assert (pruned.state, pruned.score, len(pruned.epochs)) == ("PRUNED", 2.0, 1)
    assert (nan.state, nan.score, nan.reason) == ("FAIL", None, "score is nan after epoch 1")
    assert (failed.state, failed.reason) == ("FAIL", "CUDA fell over")
    assert complete.epochs[2] == {"epoch": 3, "score": 1.0, "age_mae": 5.0}
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


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_suggestions_depend_on_the_study_alone(tmp_path, space, sampler):
    """A driver restarted before every trial suggests what an uninterrupted one does."""

    def search(path, restart):
        study = SearchStudy(path, space, FIXED, sampler=sampler, num_startup_trials=3)
        for i in range(7):
            if restart:
                study = SearchStudy(path, space, FIXED, sampler=sampler, num_startup_trials=3)
            run(study, 1.0 - i / 10)
        return [record.params for record in study.records()]

    steady = search(tmp_path / "a.journal", restart=False)
    restarted = search(tmp_path / "b.journal", restart=True)
    assert steady == restarted
    assert len({json.dumps(params) for params in steady[2:]}) >= 3  # not the same again


def test_a_start_cut_short_enqueues_each_point_once(reopen, tmp_path, space):
    for _ in range(3):
        study = reopen()
    waiting = study.study.get_trials(states=[TrialState.WAITING])
    assert len(waiting) == len(space.points) == 2
