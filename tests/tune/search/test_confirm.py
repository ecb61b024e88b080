"""Training the best again: who takes part, what is claimed of whom, and that it goes on."""

import dataclasses

import numpy as np
import pytest
from optuna.trial import TrialState

from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import METRICS
from tune.execution.session import SearchSession
from tune.records.confirmation import Confirmation, Confirmed, Lead
from tune.search import confirm
from tune.spaces.space import load_space
from tune.study.study import SearchStudy
from utkface.io import UserError
from utkface.model import Predictions

FIXED = {"epochs": 2, "image_size": 32, "seed": 3}
OBJECTIVES = ("smooth_score",)
NUM_FACES = 50
AGE = np.arange(NUM_FACES) + 20
GENDER = np.arange(NUM_FACES) % 2
LABELS = {"age": AGE, "gender": GENDER, "group": np.arange(NUM_FACES)}


def metrics(epoch, score):
    return {
        "epoch": epoch, "score": score, "smooth_score": score, "age_mae": 5 * score,
        "gender_accuracy": 0.9, "gender_error": 0.1,
    }  # fmt: skip


def predictions(years_off):
    return Predictions((AGE + years_off).astype(np.float32), GENDER.astype(np.float32))


def run(study, store, score, *, years_off=1.0, epochs=2):
    """Run the next trial, whose predictions are some years off."""
    number = study.next_trial().number
    for epoch in range(1, epochs + 1):
        store.save_predictions(number, predictions(years_off))
        study.report(number, metrics(epoch, score))
    if epochs < 2:
        study.study.tell(number, state=TrialState.PRUNED)
    return number


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path / "checkpoints"))


@pytest.fixture
def search(tmp_path, store):
    """A search of six trials: both starting points (one stopped early), then four more."""
    study = SearchStudy(
        tmp_path / "study.journal", load_space("quick", fixed=FIXED), FIXED, scheduler="none"
    )
    run(study, store, 1.5)
    run(study, store, 1.2, epochs=1)
    for score in (1.1, 1.3, 1.0, 1.4):
        run(study, store, score)
    return study


@pytest.fixture
def reopen(search, tmp_path):
    """Choose, and open the study of what is trained again; called again, it is a next session."""

    def open_(num_seeds=2):
        chosen = confirm.choose(search.records(), OBJECTIVES, 3)
        return chosen, confirm.open_confirmation(
            tmp_path / "study.journal", chosen, FIXED, OBJECTIVES, num_seeds
        )

    return open_


def test_the_three_best_and_the_best_starting_point_take_part(search):
    chosen = confirm.choose(search.records(), OBJECTIVES, 3)
    # Of the starting points, the one that came furthest, although it is worse.
    assert [record.number for record in chosen] == [4, 2, 3, 0]
    assert [record.is_starting_point for record in chosen] == [False, False, False, True]
    fewer = confirm.choose(search.records(), OBJECTIVES, 1)
    assert [record.number for record in fewer] == [4, 0]


def test_a_starting_point_that_diverged_is_nothing_to_beat(search):
    records = [
        dataclasses.replace(record, state="PRUNED", reason="the loss is nan")
        if record.number == 0
        else record
        for record in search.records()
    ]
    assert [record.number for record in confirm.choose(records, OBJECTIVES, 1)] == [4, 1]


def test_of_several_objectives_the_score_says_which_starting_point_is_the_best(search):
    def made(number, age_mae, score, *, is_starting_point=True):
        last = {**metrics(2, score), "age_mae": age_mae}
        return dataclasses.replace(
            search.records()[0], number=number, score=score, epochs=[last],
            is_starting_point=is_starting_point,
        )  # fmt: skip

    records = [made(0, 5.0, 1.6), made(1, 5.05, 1.03), made(2, 4.9, 1.0, is_starting_point=False)]
    chosen = confirm.choose(records, ("age_mae", "gender_error"), 1)
    assert [record.number for record in chosen] == [2, 1]


def test_an_interruption_with_all_trainings_begun_concludes_nothing(reopen, store, tmp_path):
    _, confirmation = reopen()
    points = confirmation.given
    session = SearchSession(confirmation, len(points), [], store, replace_failed=False)
    for _ in points:
        session.next_config()
    for number in range(1, len(points)):
        for epoch in (1, 2):
            session.take_result(number, {METRICS: metrics(epoch, 1.0)})
    assert not session.has_more  # there is none to begin
    assert not session.is_over
    session.take_failure(0, "its machine fell over")
    assert session.is_over


def test_nothing_more_is_begun_of_a_trial_that_is_no_longer_chosen(reopen, store, tmp_path):
    _, confirmation = reopen()
    begun = confirmation.next_trial().number
    journal = tmp_path / "study.journal"
    extended = SearchStudy(journal, load_space("quick", fixed=FIXED), FIXED, scheduler="none")
    run(extended, store, 0.9)
    chosen = confirm.choose(extended.records(), OBJECTIVES, 3)
    assert [record.number for record in chosen] == [6, 4, 2, 0]
    again = confirm.open_confirmation(journal, chosen, FIXED, OBJECTIVES, 2)
    points, given = again.given, []
    while (trial := again.next_trial()) is not None:
        given.append(points[trial.number].trial)
    assert given == [4, 4, 2, 2, 0, 0, 6, 6]
    assert begun == 0
    assert {record.reason for record in again.records() if record.state == "FAIL"} == {
        "no longer asked for"
    }


def test_a_search_without_a_complete_trial_has_nothing_to_confirm(search):
    pruned = [record for record in search.records() if record.state == "PRUNED"]
    assert confirm.choose(pruned, OBJECTIVES, 3) == []


def test_each_is_given_fresh_seeds_once_however_often_it_is_begun(reopen, search):
    _, confirmation = reopen()
    first = confirmation.next_trial()
    assert first.config["seed"] == 1003
    assert first.config["max_lr"] == search.records()[4].config["max_lr"]
    confirmation.report(first.number, metrics(1, 1.0))
    chosen, again = reopen()
    resumed = again.next_trial()
    assert (resumed.number, resumed.epochs_done) == (first.number, 1)
    given = [(point.trial, point.seed) for point in again.given]
    assert given == [(r.number, seed) for r in chosen for seed in (1003, 1004)]
    # The search itself knows nothing of them.
    assert len(search.records()) == 6
    _, more = reopen(num_seeds=3)
    added = [(point.trial, point.seed) for point in more.given[len(given) :]]
    assert added == [(record.number, 1005) for record in chosen]


def train_again(confirmation, store, results):
    """Give each training the score and the error in years of its trial, or have it diverge."""
    there = confirm.confirmation_store(store)
    for point in confirmation.given[len(confirmation.records()) :]:
        reached = results.get((point.trial, point.seed)) or results[point.trial]
        if reached == "diverges":
            number = confirmation.next_trial().number
            confirmation.diverge(number, "the loss is nan")
        else:
            run(confirmation, there, reached[0], years_off=reached[1])


def test_the_winner_has_the_best_mean_and_its_lead_is_that_of_the_fresh_seeds(reopen, store):
    chosen, again = reopen()
    train_again(again, store, {4: (1.6, 4.0), 2: (1.05, 2.0), 3: (1.2, 3.0), 0: (1.5, 5.0)})
    found = confirm.compare(chosen, again, store, LABELS)
    assert [trial.trial for trial in found.trials] == [2, 3, 4, 0]
    assert found.winner.values["smooth_score"] == pytest.approx((1.1 + 1.05 + 1.05) / 3)
    assert found.winner.seeds == [3, 1003, 1004]
    leads = {lead.over: lead for lead in found.leads}
    # One year more on every face: no chance in it, so the interval has no width.
    one_year = 1 / 4.731 / 2
    for lead in (leads[3].value, leads[3].low, leads[3].high):
        assert lead == pytest.approx(one_year)
    assert leads[0].value == pytest.approx(3 * one_year)
    assert found.sentence() == (
        "trial 2 is the best; its lead over the runner-up, trial 3: +0.106 in smooth score (+0.106 "
        "to +0.106), and over the starting point, trial 0: +0.317 in smooth score (+0.317 to "
        "+0.317)"
    )
    # Every face's gender is right, so what is counted leads by as much as what is smooth.
    assert [lead.metric for lead in found.leads] == ["smooth_score"] * 3 + ["score"] * 3
    assert str(found.lead(3, "score")) == "trial 3: +0.106 in score (+0.106 to +0.106)"
    assert Confirmation.model_validate_json(found.model_dump_json()) == found


def test_no_better_than_the_starting_point_is_said(reopen, store):
    chosen, again = reopen()
    train_again(again, store, {4: (0.9, 2.0), 2: (1.2, 2.0), 3: (1.3, 2.0), 0: (1.2, 2.0)})
    found = confirm.compare(chosen, again, store, LABELS)
    assert found.winner.trial == 4
    assert "no better than the starting point" in found.sentence()


def test_nothing_is_said_of_the_starting_point_by_another_measure_than_the_search_s():
    own = {"seeds": [0], "score": 1.0, "age_mae": 5.0, "gender_accuracy": 0.9}
    own["values"] = {"worst_group_mae": 9.0}
    trials = [Confirmed(trial=n, is_starting_point=n == 0, **own) for n in (4, 0)]
    lead = Lead(over=0, metric="score", value=-0.1, low=-0.2, high=0.0)
    assert Confirmation(trials=trials, leads=[lead]).sentence() == (
        "trial 4 is the best; its lead over the starting point, trial 0: -0.100 in score "
        "(-0.200 to +0.000)"
    )


def test_a_starting_point_that_wins_is_called_the_best(reopen, store):
    chosen, again = reopen()
    train_again(again, store, {4: (1.9, 2.0), 2: (1.9, 2.0), 3: (1.9, 2.0), 0: (0.1, 1.0)})
    found = confirm.compare(chosen, again, store, LABELS)
    assert found.sentence().startswith("trial 0, a starting point of the space, is the best")


def test_what_could_not_be_trained_again_is_left_out(reopen, store):
    chosen, again = reopen()
    for _ in again.given:
        again.fail(again.next_trial().number, "its machine fell over")
    assert confirm.compare(chosen, again, store, LABELS) is None
    _, once_more = reopen()  # what failed is tried again
    train_again(once_more, store, dict.fromkeys((4, 2, 3, 0), (1.0, 2.0)))
    assert len(confirm.compare(chosen, once_more, store, LABELS).trials) == 4


def test_a_trial_that_diverges_with_a_fresh_seed_comes_after_all_that_do_not(reopen, store):
    chosen, again = reopen()
    same = (1.2, 2.0)
    results = {4: "diverges", 2: same, 3: same, 0: (1.5, 2.0), (2, 1004): "diverges"}
    train_again(again, store, results)
    found = confirm.compare(chosen, again, store, LABELS)
    # Trial 4, the search's best by far, has no fresh seed at all; trial 2 has one of two.
    assert [trial.trial for trial in found.trials] == [3, 0, 2]
    assert found.trials[-1].seeds == [3, 1003]
    assert "only one" not in found.sentence()


def test_a_storage_that_does_not_answer_is_told_in_one_line(reopen, store, monkeypatch):
    chosen, again = reopen()
    train_again(again, store, dict.fromkeys((4, 2, 3, 0), (1.0, 2.0)))

    def stale(self, name):
        raise OSError("Stale file handle")

    monkeypatch.setattr(CheckpointStore, "_read", stale)
    with pytest.raises(UserError, match=r"cannot read predictions from .*Stale.*--resume"):
        confirm.compare(chosen, again, store, LABELS)
