"""A retraining as a study of given trials: handed out once, durable, failures tried again."""

import numpy as np
import pytest

from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import DIVERGED, FAILURE, METRICS
from tune.execution.session import SearchSession
from tune.records.retrain import FOLD, RETRAIN, Job
from tune.retrain.models import RetrainStudy, judged_rows, training_rows
from utkface.config import TrainConfig
from utkface.data import Split


def job(seed=0, epochs=2):
    return Job(
        purpose=RETRAIN, label="trial 7", protocol="random", part="test", seed=seed,
        config=TrainConfig(epochs=epochs, seed=seed).to_dict(),
    )  # fmt: skip


def result(epoch, loss=1.0):
    return {METRICS: {"epoch": epoch, "train_loss": loss, "time_s": 2.0}}


@pytest.fixture
def begin(tmp_path):
    """Open the study and a session on it; called again, it is the next session."""

    def begin_(*jobs):
        trained = RetrainStudy(tmp_path / "study.journal")
        trained.plan(jobs)
        store = CheckpointStore(str(tmp_path / "checkpoints"))
        session = SearchSession(
            trained.study, len(trained.jobs), [], store, replace_failed=False, keep=list
        )
        return trained, session

    return begin_


def states(trained):
    return [(record.job.seed, record.state) for record in trained.records()]


def test_every_job_is_handed_out_once_with_its_own_faces_seed_and_length(begin):
    trained, session = begin(job(0), job(1, epochs=3))
    first, second = session.next_config(), session.next_config()
    assert (first["number"], second["number"]) == (0, 1)
    assert first["rows"] == "random, before test"
    assert (second["train"]["seed"], second["train"]["epochs"]) == (1, 3)
    assert session.next_config() is None
    assert [session.take_result(0, result(epoch)) for epoch in (1, 2)] == [True, False]
    assert [session.take_result(1, result(epoch)) for epoch in (1, 2, 3)] == [True, True, False]
    assert states(trained) == [(0, "COMPLETE"), (1, "COMPLETE")]
    assert [record.train_seconds for record in trained.records()] == [4.0, 6.0]


def test_it_goes_on_where_it_stood_and_failures_are_tried_again(begin):
    jobs = [job(seed) for seed in range(4)]
    trained, session = begin(*jobs)
    for _ in jobs:
        session.next_config()
    session.take_result(0, result(1))
    session.take_result(0, result(2))
    session.take_result(1, result(1))
    session.take_failure(2, "its machine fell over")
    session.take_result(3, {DIVERGED: "the loss is nan"})
    assert states(trained) == [(0, "COMPLETE"), (1, "RUNNING"), (2, "FAIL"), (3, "FAIL")]

    again, resumed = begin(*jobs)
    handed_out = [resumed.next_config() for _ in range(2)]
    assert [config["train"]["seed"] for config in handed_out] == [1, 2]
    assert resumed.next_config() is None  # what diverged would diverge again
    assert not resumed.stop_requested.is_set()
    assert states(again) == [(0, "COMPLETE"), (1, "RUNNING"), (3, "FAIL"), (2, "RUNNING")]
    assert [record.job.number for record in again.records()] == [0, 1, 3, 4]


def test_a_seed_more_is_added_and_what_is_done_stays(begin):
    _, session = begin(job(0))
    session.next_config()
    for epoch in (1, 2):
        session.take_result(0, result(epoch))
    trained, session = begin(job(0), job(1))
    assert session.next_config()["train"]["seed"] == 1
    assert session.next_config() is None
    assert states(trained) == [(0, "COMPLETE"), (1, "RUNNING")]


def test_what_is_no_longer_asked_for_is_not_trained(begin):
    _, session = begin(*map(job, range(4)))
    for _ in range(2):
        session.next_config()
    session.take_result(0, result(1))
    session.take_result(0, result(2))
    session.take_result(1, result(1))
    trained, fewer = begin(job(0))
    assert not fewer.has_more
    assert fewer.next_config() is None
    trained, more = begin(job(0), job(1), job(3))
    handed_out = [more.next_config() for _ in range(2)]
    assert [config["train"]["seed"] for config in handed_out] == [1, 3]
    assert more.next_config() is None
    assert [len(record.epochs) for record in trained.records() if record.job.seed == 1] == [1]


def test_a_driver_killed_while_it_told_of_a_divergence_hands_out_nothing_else(begin, monkeypatch):
    trained, session = begin(job(0))
    session.next_config()
    monkeypatch.setattr(trained.study.study, "tell", lambda number, state: None)
    trained.study.diverge(0, "the loss is nan")
    trained, session = begin(job(0))
    assert not session.has_more
    assert session.next_config() is None
    assert states(trained) == [(0, "FAIL")]


def test_an_epoch_that_the_driver_never_heard_of_does_not_hold_up_the_end(begin):
    trained, session = begin(job(0, epochs=3))
    session.next_config()
    session.take_result(0, result(1))
    assert not session.take_result(0, result(3))  # the checkpoint was two epochs ahead
    assert states(trained) == [(0, "COMPLETE")]


def test_failed_jobs_are_not_replaced(begin):
    trained, session = begin(job(0), job(1))
    session.next_config()
    session.take_result(0, {FAILURE: "ValueError: no"})
    assert session.next_config()["number"] == 1
    assert session.next_config() is None
    assert trained.records()[0].reason == "ValueError: no"


SPLIT = Split(np.array([0, 3, 5]), np.array([1, 4]), np.array([2, 6]), "grouped", 0, "hash")


def test_before_the_test_part_a_model_trains_on_all_the_rest():
    train, val = training_rows(SPLIT, "test")
    assert train.tolist() == [0, 1, 3, 4, 5]
    assert val.tolist() == []
    assert judged_rows(SPLIT, "test").tolist() == [2, 6]


def test_before_validation_the_test_part_is_not_touched():
    train, val = training_rows(SPLIT, "validation")
    assert train.tolist() == [0, 3, 5]
    assert val.tolist() == [1, 4]
    assert judged_rows(SPLIT, "validation").tolist() == [1, 4]


@pytest.mark.parametrize("part", ["test", "validation"])
def test_no_face_is_both_trained_on_and_judged(part):
    assert not set(training_rows(SPLIT, part)[0]) & set(judged_rows(SPLIT, part))


def test_a_job_has_a_title_and_a_file_name_and_survives_its_record():
    job = Job(
        number=3, purpose="interval", label="reference: no augmentation", protocol="grouped",
        part="validation", seed=2, config={"epochs": 1},
    )  # fmt: skip
    assert job.title == "reference: no augmentation, grouped, seed 2 (interval)"
    assert job.file_stem == "reference-no-augmentation-grouped-seed-2-interval"
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_folds_have_titles_files_faces_and_places_of_their_own():
    one, other = (job().model_copy(update={"fold": fold, "num_folds": 5}) for fold in (0, 4))
    one, other = (each.model_copy(update={"purpose": FOLD}) for each in (one, other))
    assert one.title == "trial 7, random, seed 0, fold 1 of 5"
    assert one.file_stem == "trial-7-random-seed-0-fold-1-of-5"
    assert other.rows == "random, before test, without fold 5 of 5"
    for name in ("title", "file_stem", "rows", "identity"):
        assert len({getattr(each, name) for each in (one, other, job())}) == 3


def test_a_job_from_before_there_were_folds_is_the_same_job():
    written = job().model_dump()
    del written["fold"], written["num_folds"]
    assert Job.model_validate(written) == job()
