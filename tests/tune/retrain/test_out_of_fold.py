"""What a teacher says of a face comes from models that left it out, and from no other."""

import numpy as np
import pytest
import torch

from tune.execution.checkpoints import CheckpointStore
from tune.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from tune.records.retrain import ModelRecord
from tune.records.run_folder import RetrainFolder
from tune.retrain.models import training_rows
from tune.retrain.out_of_fold import predict_distributions, teach
from utkface.augment.ops import normalise
from utkface.batches import ImageStore
from utkface.config import TrainConfig
from utkface.model import NUM_AGES, PixelModel, build_model, predict

CPU = torch.device("cpu")


@pytest.fixture
def model_of(faces):
    """Return a job's model, which no other job has; it tells faces apart."""

    @torch.no_grad()
    def make(job):
        torch.manual_seed(100 * job.seed + job.fold)
        model = build_model(TrainConfig.from_dict(job.config), "none")
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0  # the statistics of the faces below
        model(normalise(ImageStore(faces.images, CPU).gather(np.arange(64))))
        return model.eval()

    return make


@pytest.fixture
def trained(make_plan, model_of, tmp_path):
    """A plan of 2 seeds and 3 folds, its jobs as trained, and their checkpoints."""
    config = make_plan().finalists[0].config.replace(dldl_estimate="median")  # no function of means
    plan = make_plan(config, folds=3, seeds=2, splits=["random"])
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
