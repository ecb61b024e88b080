"""Who may teach: nobody who has seen the face, and only these faces under this split."""

import numpy as np
import pytest
import torch

from tune.cluster import Weights
from tune.cluster.resources import Resources
from tune.execution.checkpoints import CheckpointStore
from tune.execution.trainable import trial_job
from tune.records.out_of_fold import OUT_OF_FOLD
from tune.retrain.models import training_rows
from tune.retrain.teachers import load_teachers, refuse_other_teachers
from utkface.io import UserError
from utkface.losses import FaceLoss
from utkface.model import NUM_AGES, FaceOutputs, build_model


def test_a_teacher_that_is_believed_is_the_target(faces, splits, make_plan, write_teacher):
    """With weight 1 the loss is least for the teacher's answers, whatever the labels are."""
    write_teacher("wise", older=1)  # everybody is a year older, and female
    plan = make_plan(teacher=["wise"], splits=["grouped"], seeds=1)
    job, interval = plan.jobs()
    assert (job.purpose, interval.purpose) == ("retrain", "interval")
    resources = Resources(cpus_per_trial=1, gpus_per_trial=0, concurrency=1)
    shared = trial_job(
        faces, {each.rows: plan.training_rows(each) for each in (job, interval)},
        Weights("none", None), CheckpointStore("/nowhere"), resources,
        teachers={job.rows: load_teachers(plan)["grouped"]},
    )  # fmt: skip
    assert shared.select(faces.images, interval.rows).teacher is None
    data = shared.select(faces.images, job.rows)
    train, _ = training_rows(splits["grouped"], "test")
    assert np.array_equal(data.train, train)
    taught = np.isfinite(data.teacher.gender_probability)
    assert np.array_equal(np.flatnonzero(taught), train)
    assert np.isnan(data.teacher.age_distribution[~taught]).all()
    assert np.array_equal(data.teacher.age_distribution[train].argmax(axis=1), data.age[train] + 1)

    config = plan.finalists[0].config.replace(teacher_weight=1.0)
    loss, model = FaceLoss(config, torch.device("cpu")), build_model(config, "none")
    age, gender = (
        torch.from_numpy(labels[train].astype(np.int64)) for labels in (data.age, data.gender)
    )
    ages, female = (
        torch.from_numpy(said[train])
        for said in (data.teacher.age_distribution, data.teacher.gender_probability)
    )

    def losses(years):
        logits = 100 * torch.nn.functional.one_hot(years, NUM_AGES).float()
        gender_logits = torch.tensor([-50.0, 50.0]).repeat(len(train), 1)
        return loss(model, FaceOutputs(logits, gender_logits), age, gender, (ages, female))

    assert losses(age + 1).total == pytest.approx(0, abs=1e-5)
    assert losses(age).age > 10


def test_a_teacher_that_changed_teaches_no_second_half(make_plan, write_teacher, retrain_record):
    write_teacher("wise", older=1)
    plan = make_plan(teacher=["wise"], splits=["grouped"])
    record = retrain_record(options=plan.options)
    for _ in range(2):
        refuse_other_teachers(record, load_teachers(plan))
    write_teacher("wise", older=2)
    with pytest.raises(UserError, match="--teacher wise says other things than when retrain-1"):
        refuse_other_teachers(record, load_teachers(plan))


def test_the_model_for_intervals_learns_from_labels_alone(make_plan):
    plan = make_plan(teacher=["wise"], splits=["grouped"], seeds=2)
    config = plan.finalists[0].config.replace(teacher_weight=0.7)
    plan = make_plan(config, teacher=["wise"], splits=["grouped"], seeds=2)
    weights = {job.purpose: job.config["teacher_weight"] for job in plan.jobs()}
    assert weights == {"retrain": 0.7, "interval": 0.0}


def test_several_teachers_are_averaged(faces, splits, make_plan, write_teacher):
    write_teacher("one")
    write_teacher("two", lambda table: table.assign(gender_probability=0.5), older=2)
    teacher = load_teachers(make_plan(teacher=["one", "two"], splits=["grouped"]))["grouped"]
    train, _ = training_rows(splits["grouped"], "test")
    ages = faces.table["age"].to_numpy()[train]
    said = teacher.age_distribution[train]
    assert (said[np.arange(len(train)), ages] == 0.5).all()
    assert (said[np.arange(len(train)), ages + 2] == 0.5).all()
    assert (teacher.gender_probability[train] == 0.75).all()


def test_a_teacher_that_has_seen_a_copy_is_refused_by_name(make_plan, write_teacher):
    leaked = []

    def leak(table):
        """Move one of two copies into another fold, whose models did not leave the other out."""
        copies = table.index[table["group"].duplicated(keep=False)]
        first = copies[0]
        table.loc[first, "fold"] = (table.loc[first, "fold"] + 1) % 3
        leaked.extend(table.loc[table["group"] == table.loc[first, "group"], "file"])
        return table

    write_teacher("leaky", leak)
    with pytest.raises(
        UserError, match=r"--teacher leaky has seen .*trained on a copy of it"
    ) as told:
        load_teachers(make_plan(teacher=["leaky"], splits=["grouped"]))
    assert len(leaked) > 1
    assert sum(file in str(told.value) for file in leaked) == 2


def test_copies_that_the_teacher_took_for_strangers_are_found(make_plan, write_teacher, faces):
    """What counts is which faces are copies of each other, not what the teacher's file says."""

    def leak(table):
        copies = table.index[table["group"].duplicated(keep="first")]
        table.loc[copies, "fold"] = (table.loc[copies, "fold"] + 1) % 3
        return table.assign(group=np.arange(len(table)))

    write_teacher("leaky", leak)
    with pytest.raises(UserError, match="--teacher leaky has seen"):
        load_teachers(make_plan(teacher=["leaky"], splits=["grouped"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[2:].reset_index(drop=True), r"says nothing of 2 of 480 training faces, "),
        (lambda t: t.assign(split_hash="other"), "another grouped split of these faces"),
        (lambda t: t.assign(part="validation"), "with --splits grouped --part validation, not"),
        (lambda t: t.assign(gender_probability=np.nan), "predictions are no probabilities"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make_plan, write_teacher, change, message):
    write_teacher("odd", change)
    with pytest.raises(UserError, match=message):
        load_teachers(make_plan(teacher=["odd"], splits=["grouped"]))


def test_a_protocol_that_the_teacher_does_not_know_is_refused(make_plan, write_teacher):
    write_teacher("wise")
    with pytest.raises(
        UserError, match="made with --splits grouped --part test, not with --splits r"
    ):
        load_teachers(make_plan(teacher=["wise"]))


def test_other_faces_are_refused(make_plan, write_teacher):
    folder = write_teacher("wise")
    record = folder.record
    record.data.fingerprint = "0" * 64
    folder.write_record(record)
    with pytest.raises(UserError, match=r"--teacher wise saw .* demo holds 600 others or changed"):
        load_teachers(make_plan(teacher=["wise"], splits=["grouped"]))


def test_a_run_without_such_predictions_is_told_how_to_make_them(make_plan, write_teacher):
    folder = write_teacher("wise")
    (folder.path / OUT_OF_FOLD).unlink()
    with pytest.raises(UserError, match=r"finish it with .*retrain_best.py --resume wise"):
        load_teachers(make_plan(teacher=["wise"], splits=["grouped"]))
    record = folder.record
    record.options = type(record.options)()
    folder.write_record(record)
    with pytest.raises(UserError, match=r"make a teacher with .*retrain_best.py --folds 5"):
        load_teachers(make_plan(teacher=["wise"], splits=["grouped"]))


def test_a_damaged_file_is_told(make_plan, write_teacher):
    path = write_teacher("wise").path / OUT_OF_FOLD
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cannot read .*make it again with .* --resume \S*wise"):
        load_teachers(make_plan(teacher=["wise"], splits=["grouped"]))
