"""What teachers say comes from models that left the face out; nobody else may teach."""

import functools

import numpy as np
import pytest
import torch

from tune.cluster import Weights
from tune.cluster.resources import Resources
from tune.execution.checkpoints import CheckpointStore
from tune.execution.trainable import trial_job
from tune.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from tune.records.retrain import ModelRecord
from tune.records.run_folder import RetrainFolder
from tune.retrain.plan import training_rows
from tune.retrain.teachers import (
    load_teachers,
    predict_distributions,
    refuse_other_teachers,
    teach,
)
from utkface.augment.ops import normalise
from utkface.batches import ImageStore
from utkface.config import TrainConfig
from utkface.io import UserError
from utkface.losses import FaceLoss
from utkface.model import NUM_AGES, FaceOutputs, PixelModel, build_model, predict

CPU = torch.device("cpu")
#: What it says of ages is no function of the mean distribution.
MEDIAN = TrainConfig(image_size=32, pretrained=False, dldl_estimate="median")


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
    loss, model = FaceLoss(config, CPU), build_model(config, "none")
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
        return loss(model, FaceOutputs(logits, gender_logits), age, gender, ages, female)

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
    """What counts is which faces are copies of each other, not what the teacher's file says."""
    leaked = []

    def leak(table):
        """Move one of two copies into another fold, whose models did not leave the other out."""
        first = table.index[table["group"].duplicated(keep=False)][0]
        table.loc[first, "fold"] = (table.loc[first, "fold"] + 1) % 3
        leaked.extend(table.loc[table["group"] == table.loc[first, "group"], "file"])
        return table.assign(group=np.arange(len(table)))

    write_teacher("leaky", leak)
    message = r"--teacher leaky has seen .*trained on a copy of it"
    with pytest.raises(UserError, match=message) as told:
        load_teachers(make_plan(teacher=["leaky"], splits=["grouped"]))
    assert len(leaked) > 1
    assert sum(file in str(told.value) for file in leaked) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[2:].reset_index(drop=True), r"says nothing of 2 of 480 training faces, "),
        (lambda t: t.assign(split_hash="other"), "another grouped split of these faces"),
        (lambda t: t.assign(part="validation"), "with --splits grouped --part validation, not"),
        (
            lambda t: t.assign(protocol="random"),
            "made with --splits random --part test, not with --splits grouped",
        ),
        (lambda t: t.assign(gender_probability=np.nan), "predictions are no probabilities"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(make_plan, write_teacher, change, message):
    write_teacher("odd", change)
    with pytest.raises(UserError, match=message):
        load_teachers(make_plan(teacher=["odd"], splits=["grouped"]))


def of_other_faces(folder):
    record = folder.record
    record.data.fingerprint = "0" * 64
    folder.write_record(record)


def unfinished(folder):
    (folder.path / OUT_OF_FOLD).unlink()


def of_no_folds(folder):
    unfinished(folder)
    record = folder.record
    record.options = type(record.options)()
    folder.write_record(record)


def cut_short(folder):
    path = folder.path / OUT_OF_FOLD
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (of_other_faces, r"--teacher wise saw .* demo holds 600 others or changed"),
        (unfinished, r"finish it with .*retrain_best.py --resume wise"),
        (of_no_folds, r"make a teacher with .*retrain_best.py --folds 5"),
        (cut_short, r"cannot read .*make it again with .* --resume \S*wise"),
    ],
)
def test_a_run_that_cannot_teach_these_faces_is_refused(make_plan, write_teacher, harm, message):
    harm(write_teacher("wise"))
    with pytest.raises(UserError, match=message):
        load_teachers(make_plan(teacher=["wise"], splits=["grouped"]))


@pytest.fixture(scope="module")
def model_of(faces):
    """Return a job's model, which no other job has; it tells faces apart."""

    @functools.cache
    @torch.no_grad()
    def make(seed, fold):
        torch.manual_seed(100 * seed + fold)
        model = build_model(MEDIAN, "none")
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0  # the statistics of the faces below
        model(normalise(ImageStore(faces.images, CPU).gather(np.arange(64))))
        return model.eval()

    return lambda job: make(job.seed, job.fold)


@pytest.fixture
def trained(make_plan, model_of, tmp_path):
    """A plan of 2 seeds and 3 folds, its jobs as trained, and their checkpoints."""
    plan = make_plan(MEDIAN, folds=3, seeds=2, splits=["random"])
    store = CheckpointStore(str(tmp_path / "checkpoints"))
    records = []
    for number, job in enumerate(plan.jobs()):
        job = job.model_copy(update={"number": number})
        weights = model_of(job).state_dict()
        store.save(number, {"config": job.config, "model": weights, "average": {"weights": None}})
        records.append(ModelRecord(job=job, epochs=[], state="COMPLETE"))
    return plan, records, store


def test_each_model_is_trained_on_all_folds_but_its_own(trained):
    plan, records, _ = trained
    everything, _ = training_rows(plan.splits["random"], "test")
    left_out = [plan.fold_rows("random", fold) for fold in range(3)]
    assert np.array_equal(np.sort(np.concatenate(left_out)), everything)
    assert len({record.job.rows for record in records}) == 3  # equal for both seeds
    assert len({record.job.file_stem for record in records}) == 6
    for record in records:
        train, val = plan.training_rows(record.job)
        assert np.array_equal(train, np.setdiff1d(everything, left_out[record.job.fold]))
        assert len(val) == 0


def test_a_face_has_the_mean_of_the_models_that_left_it_out(
    trained, model_of, faces, tmp_path, retrain_record
):
    plan, records, store = trained
    record = retrain_record(name="folds-1")
    lines = teach(plan, RetrainFolder(tmp_path), record, records, store)
    found = OutOfFold.read(tmp_path / OUT_OF_FOLD)
    everything, _ = training_rows(plan.splits["random"], "test")
    assert found.table["file"].tolist() == faces.table["file"].iloc[everything].tolist()
    assert set(found.table["num_models"]) == {2}
    row_of = {file: row for row, file in enumerate(faces.table["file"])}
    images = ImageStore(faces.images, CPU)
    for fold in range(3):
        mine = (found.table["fold"] == fold).to_numpy()
        rows = np.array([row_of[file] for file in found.table["file"][mine]])
        assert np.array_equal(rows, plan.fold_rows("random", fold))
        said = [predict(model_of(r.job), images, rows) for r in records if r.job.fold == fold]
        outputs = [
            PixelModel(model_of(r.job)).outputs(images.gather(rows)).age_output.softmax(dim=1)
            for r in records
            if r.job.fold == fold
        ]
        ages = torch.stack(outputs).mean(dim=0).detach().numpy()
        years = np.mean([each.age_years for each in said], axis=0)
        genders = np.mean([each.gender_probability for each in said], axis=0)
        np.testing.assert_allclose(found.age_distribution[mine], ages, atol=1e-5)
        np.testing.assert_allclose(found.table["age_years"][mine], years, rtol=1e-4)
        np.testing.assert_allclose(found.table["gender_probability"][mine], genders, atol=1e-4)
    mae = np.abs(found.table["age_years"] - found.table["age"]).mean()
    assert f"480 training faces out of fold, 2 models each: age MAE {mae:.2f} (" in lines[0]
    assert lines[-1].endswith(f"retrain_best.py --teacher {tmp_path}")


def test_a_fold_whose_model_failed_has_fewer(trained, tmp_path, retrain_record):
    plan, records, store = trained
    (line, *_) = teach(plan, RetrainFolder(tmp_path), retrain_record(), records[1:], store)
    table = OutOfFold.read(tmp_path / OUT_OF_FOLD).table
    assert (table["num_models"] == np.where(table["fold"] == 0, 1, 2)).all()
    assert "1 to 2 models each" in line


def test_flipped_is_the_mean_with_the_mirror_image(trained, model_of, faces):
    _, (record, *_), _ = trained
    model, rows = model_of(record.job), np.arange(7)
    mirrored = np.ascontiguousarray(faces.images[:, :, ::-1])
    plain, other, both = (
        predict_distributions(model, images, rows, flip=flip, device=CPU)
        for images, flip in ((faces.images, False), (mirrored, False), (faces.images, True))
    )
    assert both[0].shape == (7, NUM_AGES)
    assert np.abs(plain[0] - other[0]).max() > 1e-4
    for one, two, mean in zip(plain, other, both, strict=True):
        np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-6)
