"""From a teacher to its pupil with the retraining command, on demo faces."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tune.execution.checkpoints import CheckpointStore
from tune.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from tune.records.run_folder import FINISHED, INTERRUPTED, RetrainFolder
from tune.retrain_best import main
from utkface.config import TrainConfig
from utkface.io import UserError
from utkface.model import TrainedModel, averaged_model
from utkface.predictor import Predictor

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG = TrainConfig(
    image_size=32, epochs=2, batch_size=32, ema_decay=0.9, max_lr=0.01, pretrained=False
)
QUIET = ["--data", "demo", "--weights", "none", "--wandb", "disabled"]


@pytest.fixture
def config_file(tmp_path):
    """Write a file of hyperparameters; return its path."""

    def write(name, **changes):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(CONFIG.replace(**changes).to_dict()))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"age_loss": "huber"}, ["--folds", "3"], "mine has age_loss='huber' and so predicts no"),
        ({"teacher_weight": 0.3}, [], "mine has teacher_weight=0.3 and no teacher; give one with"),
        ({"teacher_weight": 0.3}, ["--folds", "3"], "mine has teacher_weight=0.3 and no teacher"),
        ({}, ["--folds", "481"], r"--folds 481 is more than the \d+ different training faces"),
        ({}, ["--teacher", "nobody"], "there is no retraining at 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    config_file, tmp_path, changes, options, message
):
    results = tmp_path / "results"
    arguments = ["--config", config_file("mine", **changes), *QUIET, "--results", str(results)]
    with pytest.raises(UserError, match=message):
        main([*arguments, *options])
    assert not results.exists()


def run(*arguments):
    """Run the command; return what it printed."""
    command = [sys.executable, "tune/retrain_best.py", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_large_model_teaches_a_small_one(config_file, tmp_path, faces):
    there, here = tmp_path / "there", tmp_path / "here"
    options = [*QUIET, "--splits", "grouped", "--seeds", 1]
    large = ["--config", config_file("large"), "--folds", 3, "--no-evaluate"]
    said = run(*large, *options, "--results", there)
    (name,) = RetrainFolder.names(there)
    assert f"retrain_best.py --resume {there / name}\n" in said
    assert "to train 3 models, " in said
    assert RetrainFolder.find(there).record.status == INTERRUPTED
    assert not (there / name / OUT_OF_FOLD).exists()

    shutil.copytree(there / name, here / name)  # as from another machine
    shutil.rmtree(there)
    said = run("--resume", name, "--results", here, "--flip", "--data", "demo")
    assert "training begins" not in said
    assert "480 training faces out of fold, 1 model each: age MAE" in said
    folder = RetrainFolder(here / name)
    assert folder.record.status == FINISHED
    assert not (folder.path / "evaluation.json").exists()
    found = OutOfFold.read(folder.path / OUT_OF_FOLD)
    store = CheckpointStore.of_run(None, folder.path, folder.path.name)
    row_of = {file: row for row, file in enumerate(faces.table["file"])}
    for model in folder.record.models:
        of_fold = found.table[found.table["fold"] == model.job.fold]
        pixels = np.asarray(faces.images[[row_of[file] for file in of_fold["file"]]])
        trained = TrainedModel(averaged_model(store.load(model.job.number)), CONFIG)
        ages, genders = Predictor(trained, flip=True).predict_pixels(pixels)
        np.testing.assert_allclose(of_fold["age_years"], ages, rtol=1e-4)
        np.testing.assert_allclose(of_fold["gender_probability"], genders, atol=1e-4)

    small = ["--config", config_file("small"), "--no-baselines", "--explain", 0, "--results", here]
    run(*small, *options, "--teacher", name)
    pupil = RetrainFolder.find(here)
    assert pupil.record.options.teacher == [name]
    assert f"teacher: {name} (weight 0.5)" in pupil.record.question
    weights = {m.job.purpose: m.job.config["teacher_weight"] for m in pupil.record.models}
    assert weights == {"retrain": 0.5, "interval": 0.0}
    losses = {m.job.purpose: m.epochs[-1]["train_loss"] for m in pupil.record.models}
    assert losses["retrain"] != losses["interval"]
    assert (pupil.path / "model.pt").is_file()
    shutil.rmtree(folder.path)  # an evaluation asks no teacher
    evaluate_again = ["--resume", pupil.path.name, "--results", here, "--no-baselines"]
    run(*evaluate_again, "--explain", 0)
