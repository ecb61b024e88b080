"""The retraining command as a user runs it, on demo faces."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tune.records.run_folder import FINISHED, RetrainFolder, SearchFolder
from tune.records.search import SearchRecord
from tune.retrain_best import main
from utkface.config import TrainConfig
from utkface.data import make_split
from utkface.io import UserError
from utkface.model import load_model
from utkface.predictor import Predictor

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG = TrainConfig(
    image_size=32, epochs=2, batch_size=32, ema_decay=0.9, max_lr=0.01, pretrained=False
)


@pytest.fixture(scope="module")
def results(tmp_path_factory, faces, finished_search):
    """A results folder with what a finished search on the demo faces leaves."""
    results = tmp_path_factory.mktemp("results")
    path = results / "quick-1"
    path.mkdir()
    options = {"space": "quick", "data": ["demo"], "weights": "none", "num_trials": 5}
    data = {**finished_search["data"], "fingerprint": faces.fingerprint}
    data |= {"source": "demo", "is_demo": True}
    about = {"name": "quick-1", "options": options, "data": data}
    record = SearchRecord.parse({**finished_search, **about}, "search.json")
    SearchFolder(path).write_record(record)
    SearchFolder(path).journal.touch()
    (path / "trials.csv").write_text("state\nCOMPLETE\nPRUNED\nCOMPLETE\nPRUNED\nCOMPLETE\n")
    finalists = [
        {"trial": number, "score": score, "config": CONFIG.replace(dropout=score).to_dict()}
        for number, score in ((4, 0.1), (2, 0.2))
    ]
    (path / "best.json").write_text(json.dumps({**finalists[0], "finalists": finalists}))
    return results


def start_command(*arguments):
    command = [sys.executable, "tune/retrain_best.py", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def retrained(results):
    """The folder of a retraining that ended, and what it printed."""
    arguments = ["--top-k", 1, "--seeds", 1, "--explain", 1, "--wandb", "offline"]
    arguments += ["--no-baselines", "--results", results, "--concurrency", 1]
    process = start_command(*arguments)
    output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, output + errors
    return RetrainFolder.find(results), output


def test_the_search_s_best_is_trained_on_both_protocols_and_for_intervals(retrained):
    folder, output = retrained
    assert "to train 3 models, " in output
    record = folder.record
    assert (record.status, record.search) == (FINISHED, "quick-1")
    assert record.options.search == "quick-1"  # whatever is the newest when it is resumed
    jobs = [model.job for model in record.models]
    assert [(job.label, job.purpose, job.protocol, job.part) for job in jobs] == [
        ("trial 4", "retrain", "grouped", "test"), ("trial 4", "retrain", "random", "test"),
        ("trial 4", "interval", "grouped", "validation"),
    ]  # fmt: skip
    assert all(len(model.epochs) == CONFIG.epochs for model in record.models)
    assert {model.state for model in record.models} == {"COMPLETE"}


def test_wandb_has_a_run_for_each_model_and_one_for_the_evaluation(retrained):
    folder, _ = retrained
    kept = [path.name for path in (folder.path / "wandb").glob("offline-run-*")]
    assert len(kept) == len(folder.record.models) + 1
    (summary,) = [name for name in kept if name.endswith("-evaluation")]
    (written,) = (folder.path / "wandb" / summary).glob("run-*.wandb")
    assert written.stat().st_size > 0


def test_the_evaluation_says_what_the_predictions_say(retrained, faces):
    folder, output = retrained
    evaluation = json.loads((folder.path / "evaluation.json").read_text())
    predictions = pd.read_parquet(folder.path / "predictions.parquet")
    assert [(r["protocol"], r["headline"]) for r in evaluation["rows"]] == [
        ("grouped", True), ("random", True),
    ]  # fmt: skip
    for row in evaluation["rows"]:
        part = predictions.query("protocol == @row['protocol'] and part == 'test'")
        split = make_split(faces.table, row["protocol"])
        assert set(part["file"]) == set(faces.table["file"].iloc[split.test])
        assert row["num_train"] == len(split.train) + len(split.val)
        distance = (part["age_years"] - part["age"]).abs()
        per_seed = distance.groupby(part["seed"]).mean().tolist()
        found = row["overall"]["age_mae"]
        assert found["per_seed"] == pytest.approx(per_seed, rel=1e-4)
        assert found["low"] < found["value"] == pytest.approx(np.mean(per_seed), rel=1e-4)
        assert f"{found['value']:.2f}" in output
        assert row["interval"]["coverage"]["value"] > 0.7
        assert "brisque" in row["subgroups"]
    assert evaluation["baselines"] == []
    assert evaluation["leak"]["grouped"] == 0


def test_the_model_that_is_left_predicts_what_was_judged(retrained, faces):
    folder, _ = retrained
    trained = load_model(folder.path / "model.pt")
    assert trained.interval is not None
    assert (trained.about["label"], trained.about["protocol"]) == ("trial 4", "grouped")
    predictions = pd.read_parquet(folder.path / "predictions.parquet")
    judged = predictions.query("part == 'test' and protocol == 'grouped' and seed == 0")
    rows = make_split(faces.table, "grouped").test
    ages, genders = Predictor(trained).predict_pixels(np.asarray(faces.images[rows]))
    np.testing.assert_allclose(ages, judged["age_years"], rtol=1e-4)
    np.testing.assert_allclose(genders, judged["gender_probability"], atol=1e-4)


def test_everything_that_people_read_is_there_and_demo_faces_enter_no_league(retrained):
    folder, output = retrained
    for name in ("evaluation.html", "model_card.md"):
        text = (folder.path / name).read_text().lower()
        assert "demo faces" in text
    assert list((folder.path / "sheets").glob("*.png"))
    assert list((folder.path / "figures").glob("*.svg"))
    assert "demo faces: these numbers say nothing about real ones" in output
    assert not (folder.path.parent / "README.md").exists()
    assert not list(folder.path.rglob(".*.tmp"))


@pytest.fixture
def small_forests(monkeypatch):
    """Let the baselines boost five trees, not 300, and keep what they say out of the cache."""
    for kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        few = functools.partial(_few_trees, kind)
        monkeypatch.setattr(f"utkface.evaluation.baselines.{kind.__name__}", few)
    monkeypatch.setattr("utkface.evaluation.baselines._CODE", "of this test")


def _few_trees(kind, **options):
    return kind(**{**options, "max_iter": 5})


def test_a_finished_retraining_is_evaluated_anew_without_training(retrained, small_forests, capsys):
    folder, _ = retrained
    before = json.loads((folder.path / "evaluation.json").read_text())
    arguments = ["--resume", "--results", str(folder.path.parent), "--flip", "--baselines"]
    assert main([*arguments, "--explain", "0", "--wandb", "disabled"]) == 0
    after = json.loads((folder.path / "evaluation.json").read_text())
    assert (before["flip"], after["flip"]) == (False, True)
    assert load_model(folder.path / "model.pt").flip
    labels = {row["label"] for row in after["baselines"]}
    assert len(labels) == 5  # no model, and two kinds on frozen and on trained features
    assert {pair["b"] for pair in after["paired"]} == labels
    assert after["rows"][0]["overall"]["age_mae"] != before["rows"][0]["overall"]["age_mae"]
    assert folder.record.models[0].epochs[0]["epoch"] == 1
    assert "training begins" not in capsys.readouterr().out


def test_a_lost_checkpoint_is_told_by_name(retrained, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(retrained[0].path, folder)
    (folder / "checkpoints" / "trial_0001.pt").unlink()
    with pytest.raises(UserError, match="checkpoint of trial 4, random, seed 0 is gone"):
        main(["--resume", str(folder), "--results", str(tmp_path), "--wandb", "disabled"])


def test_other_faces_than_the_search_had_are_refused(results, tmp_path, faces):
    shutil.copytree(results / "quick-1", tmp_path / "quick-1")
    folder = SearchFolder(tmp_path / "quick-1")
    record = folder.record
    record.data.fingerprint = "0" * 64
    folder.write_record(record)
    with pytest.raises(UserError, match=r"quick-1 searched .* faces from demo, but demo holds"):
        main(["--results", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["quick-1"]


@pytest.mark.slow
def test_a_killed_retraining_goes_on_where_it_stood(results, tmp_path):
    shutil.copytree(results / "quick-1", tmp_path / "quick-1")
    arguments = ["--seeds", 1, "--epochs", 6, "--top-k", 1, "--no-baselines", "--explain", 0]
    arguments += ["--wandb", "disabled", "--results", tmp_path]
    process = start_command(*arguments)
    deadline = time.monotonic() + 300
    while not _epochs(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = _epochs(tmp_path)
    assert done
    shutil.rmtree(tmp_path / "quick-1")  # what is retrained is on record
    again = start_command("--resume", "--seeds", 2, *arguments[4:])  # and one seed more
    output, errors = again.communicate(timeout=500)
    assert again.returncode == 0, output + errors
    assert "goes on after epoch" in output
    record = RetrainFolder.find(tmp_path).record
    seeds = {(model.job.protocol, model.job.seed) for model in record.models}
    assert seeds == {(protocol, seed) for protocol in ("grouped", "random") for seed in (0, 1)}
    assert [model.job.number for model in record.models] == [0, 1, 2, 3, 4]
    for model in record.models:
        assert [epoch["epoch"] for epoch in model.epochs] == [1, 2, 3, 4, 5, 6]
    kept = {(number, epoch["epoch"]): epoch for number, epoch in done}
    for model in record.models:
        for epoch in model.epochs:
            before = kept.get((model.job.number, epoch["epoch"]), epoch)
            assert epoch["train_loss"] == before["train_loss"]


def _epochs(results):
    """Return (job number, metrics) of every epoch on record, once there is a record."""
    own = RetrainFolder.own(results)  # the record is there a moment before the journal
    if not own:
        return []
    models = own[-1].record.models
    return [(model.job.number, epoch) for model in models for epoch in model.epochs]
