"""Which models there are, on which faces; each is handed out once, durable, tried again."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import DIVERGED, FAILURE, METRICS
from tune.execution.session import SearchSession
from tune.records.retrain import FOLD, RETRAIN, Finalist, Job, ModelRecord
from tune.retrain.plan import Plan, RetrainStudy, assign_folds, judged_rows, training_rows
from utkface.config import TrainConfig
from utkface.data import Split
from utkface.io import UserError


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


@pytest.mark.parametrize(
    ("part", "trained", "validated", "judged"),
    [
        ("test", [0, 1, 3, 4, 5], [], [2, 6]),  # all the rest is trained on
        ("validation", [0, 3, 5], [1, 4], [1, 4]),  # the test part is not touched
    ],
)
def test_a_part_decides_what_is_trained_on_and_what_is_judged(part, trained, validated, judged):
    train, val = training_rows(SPLIT, part)
    assert (train.tolist(), val.tolist()) == (trained, validated)
    assert judged_rows(SPLIT, part).tolist() == judged


def test_what_is_judged_is_what_is_asked_for_in_the_plan_s_order(make_plan):
    """Whatever a session before asked for, and however late a job was tried again."""
    before = make_plan(splits=["random", "grouped"], seeds=2)
    now = make_plan(splits=["random", "grouped"], seeds=1, intervals=False)
    order = [(job.protocol, job.seed, job.purpose) for job in before.jobs()]
    assert order == [
        ("grouped", 0, "retrain"), ("grouped", 1, "retrain"),
        ("random", 0, "retrain"), ("random", 1, "retrain"), ("grouped", 0, "interval"),
    ]  # fmt: skip
    both = [Finalist("first", now.finalists[0].config), *now.finalists]
    now = Plan(now.options, both, now.faces, now.splits)
    jobs = [*before.jobs(), *now.jobs()[:2]]  # those of "first" came last
    records = [
        ModelRecord(job=job.model_copy(update={"number": number}), epochs=[], state="COMPLETE")
        for number, job in enumerate(jobs)
    ]
    selected = [(r.job.label, r.job.protocol, r.job.seed) for r in now.select(records)]
    assert selected == [
        (label, protocol, 0) for label in ("first", "mine") for protocol in ("grouped", "random")
    ]


def test_a_file_names_the_first_of_its_seeds(make_plan):
    mine = make_plan().finalists[0].config.replace(seed=2000)
    plan = make_plan(mine, splits=["grouped"], seeds=2, intervals=False)
    for files, seeds in ((["mine.json"], [2000, 2001]), (None, [0, 1])):
        options = dataclasses.replace(plan.options, config=files)
        jobs = dataclasses.replace(plan, options=options).jobs()
        assert [job.seed for job in jobs] == [job.config["seed"] for job in jobs] == seeds


def test_the_model_for_intervals_learns_from_labels_alone(make_plan):
    config = make_plan().finalists[0].config.replace(teacher_weight=0.7)
    plan = make_plan(config, teacher=["wise"], splits=["grouped"], seeds=2)
    weights = {job.purpose: job.config["teacher_weight"] for job in plan.jobs()}
    assert weights == {"retrain": 0.7, "interval": 0.0}


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


@pytest.fixture(scope="module")
def table():
    """Faces of all ages, a fifth of them copies in groups of two to four."""
    rng = np.random.default_rng(0)
    group = np.sort(np.concatenate([np.arange(800), rng.integers(0, 100, 200)]))
    return pd.DataFrame(
        {
            "file": [f"{number}.jpg" for number in rng.permutation(1000)],
            "age": rng.integers(0, 100, 1000),
            "gender": rng.integers(0, 2, 1000),
            "group": group,
        }
    )


def test_every_face_has_a_fold_and_copies_the_same(table):
    rows = np.arange(100, 900)
    folds = assign_folds(table, rows, 5)
    assert folds.shape == rows.shape
    assert set(folds) == {0, 1, 2, 3, 4}
    of_group = pd.Series(folds).groupby(table["group"].to_numpy()[rows])
    assert of_group.nunique().max() == 1
    assert of_group.size().max() > 1, "there were no copies to keep together"


def test_folds_are_of_one_size_and_ages_and_genders_are_spread(table):
    folds = assign_folds(table, np.arange(1000), 5)
    sizes = np.bincount(folds)
    assert np.ptp(sizes) <= 0.02 * len(table)
    for _, faces in table.assign(fold=folds).groupby([table["age"] // 10, "gender"]):
        assert np.ptp(np.bincount(faces["fold"], minlength=5)) <= 4  # a group, as large as they get


def test_the_order_of_rows_does_not_matter(table):
    shuffled = np.random.default_rng(1).permutation(1000)
    folds = assign_folds(table, np.arange(1000), 4)
    assert (assign_folds(table, shuffled, 4) == folds[shuffled]).all()


def test_more_folds_than_different_faces_are_refused(table):
    rows = np.flatnonzero(table["group"] < 3)
    assert set(assign_folds(table, rows, 3)) == {0, 1, 2}
    with pytest.raises(UserError, match="--folds 4 is more than the 3 different training faces"):
        assign_folds(table, rows, 4)
