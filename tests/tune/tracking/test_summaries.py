"""The W&B runs that sum up a search, and a retraining."""

import pytest
import torch

from tune.execution.reporting import RunStart
from tune.tracking.wandb_logger import WandbLogger
from utkface.config import TrainConfig
from utkface.evaluation.records import Evaluation
from utkface.model import build_model, load_model


@pytest.fixture
def search_of(track, tmp_path):
    """Track a search that ended with these trials and a report; return what was said."""

    def end(records, **search):
        logger, said = track("offline", **search)
        report = tmp_path / "report.html"
        report.write_text("<p>the report")
        logger.search_ended(records, report)
        return said

    return end


def test_a_search_ends_with_a_summary_run(wandb, record, search_of):
    records = [
        record(0, "COMPLETE", 0.9),
        record(1, "PRUNED", 0.2),
        record(2, "COMPLETE", 0.8),
        record(3, "FAIL", None, "loss is nan"),
    ]
    assert search_of(records, num_trials=4) == []
    (run,) = wandb.runs
    found = [run.arguments[name] for name in ("name", "job_type", "group")]
    assert found == ["over sampling/1-summary", "summary", "over sampling/1"]
    assert run.arguments["config"]["num_trials"] == 4
    assert (run.tags, run.exit_code) == (("finished",), 0)
    counts = [run.summary[f"num_{state}"] for state in ("complete", "stopped_early", "failed")]
    assert counts == [2, 1, 1]
    # The trial that was stopped early stood better, and is not the best.
    assert (run.summary["best_trial"], run.summary["best_score"]) == (2, 0.8)
    ((step, logged),) = run.logged
    table = logged["trials"]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.data]
    assert step == 4
    assert [(row["number"], row["state"]) for row in rows][1:3] == [(1, "PRUNED"), (2, "COMPLETE")]
    assert rows[3]["reason"] == "loss is nan"
    assert [row["score"] for row in rows] == [0.9, 0.2, 0.8, None]
    assert run.artifacts["report"].content == b"<p>the report"
    assert "model" not in run.artifacts  # no checkpoints were given


def test_the_best_trial_is_the_one_that_was_confirmed(wandb, record, search_of):
    again = {"is_starting_point": False, "seeds": [0, 1000], "score": 0.85, "age_mae": 5.0}
    winner = {"trial": 0, "values": {"score": 0.85}, "gender_accuracy": 0.9, **again}
    records = [record(0, "COMPLETE", 0.9), record(1, "COMPLETE", 0.8)]
    search_of(records, confirmation={"trials": [winner], "leads": []})
    assert wandb.runs[0].summary["best_trial"] == 0


def test_an_interrupted_search_continues_its_summary_run(wandb, record, search_of):
    search_of([record(0, "COMPLETE"), record(1, "RUNNING")], status="interrupted")
    search_of([record(number, "COMPLETE") for number in range(3)])
    first, second = wandb.runs
    assert first.arguments["id"] == second.arguments["id"]
    assert [run.tags for run in wandb.runs] == [("unfinished",), ("finished",)]
    assert [run.logged[0][0] for run in wandb.runs] == [1, 3]


def test_a_summary_that_fails_is_said_once_and_its_run_ends(wandb, record, search_of):
    wandb.failing.add("artifact")
    said = search_of([record(0, "COMPLETE")])
    assert len(said) == 1
    assert "artifact refused for ***" in said[0]
    assert wandb.runs[0].calls == ["log", "finish"]


def test_the_best_model_is_one_to_predict_with(wandb, tmp_path, record, start_of):
    class Store:
        @staticmethod
        def load(number):
            assert number == 2
            return state

    config = TrainConfig(pretrained=False)
    weights = build_model(config, "none").state_dict()
    state = {"config": config.to_dict(), "model": weights, "average": {"weights": None}}
    logger = WandbLogger("offline", tmp_path, checkpoints=Store())
    logger.search_started(start_of())
    records = [record(0, "COMPLETE", 0.9), record(2, "COMPLETE", 0.8)]
    records[1].config.update(config.to_dict())
    logger.search_ended(records, None)
    artifact = wandb.runs[0].artifacts["model"]
    assert (artifact.metadata["trial"], artifact.metadata["score"]) == (2, 0.8)
    path = tmp_path / "model.pt"
    path.write_bytes(artifact.content)
    model = load_model(path)
    assert model.about["trial"] == 2
    assert all(torch.equal(v, weights[k]) for k, v in model.model.state_dict().items())


DATA = {"source": "demo", "fingerprint": "f", "is_demo": True, "num_faces": 10}


def metric(value):
    return {"value": value, "low": value - 1, "high": value + 1, "per_seed": [value]}


def row(label, protocol, age_mae, **more):
    overall = {"age_mae": metric(age_mae), "gender_accuracy": metric(0.9)}
    overall["score"] = metric(age_mae / 5)
    return {
        "label": label, "protocol": protocol, "part": "test", "num_faces": 10, "overall": overall,
        **more,
    }  # fmt: skip


@pytest.fixture
def evaluation():
    mine = {"headline": True, "seeds": [0, 1, 2], "num_seeds": 3}
    return Evaluation.model_validate({
        "name": "retrain-1", "search": "over sampling/1", "image_size": 128, "epochs": 6,
        "created": "then", "command": "retrain", "commit": None, "flip": False, "data": DATA,
        "rows": [
            row("trial 1", "random", 5.0, **mine),
            row("trial 1", "grouped", 5.5, **mine),
            row("trial 2", "random", 4.0, headline=False, seeds=[0], num_seeds=1),
        ],
        "baselines": [row("median", "random", 15.0, seconds=1.0)],
    })  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "evaluation_without_faces.html").write_text("<p>no photographs")
    (tmp_path / "evaluation.html").write_text("<p>photographs")
    (tmp_path / "model.pt").write_bytes(b"model")
    return tmp_path


def test_a_retraining_ends_with_a_run_of_what_it_reached(
    wandb, tmp_path, evaluation, folder, retrain_record
):
    said = []
    logger = WandbLogger("offline", tmp_path, say=said.append, job_type="retrain")
    logger.search_started(RunStart(retrain_record(search="over sampling/1"), tmp_path))
    logger.evaluation_ended(evaluation)
    assert said == []
    (run,) = wandb.runs
    found = [run.arguments[name] for name in ("name", "job_type", "group")]
    assert found == ["retrain-1-evaluation", "evaluate", "over sampling/1"]
    assert run.arguments["config"]["epochs"] == 6
    # The headline's numbers, and not those of the model that looks best on the test part.
    assert run.summary["test/random/age_mae"] == 5.0
    assert run.summary["test/grouped/age_mae"] == 5.5
    assert (run.tags, run.exit_code) == (("grouped", "random"), 0)


def test_of_compared_configurations_the_model_is_the_best_ones(wandb, track, evaluation, folder):
    rows = [row.model_copy(update={"headline": False}) for row in evaluation.rows]
    compared = evaluation.model_copy(update={"rows": [rows[0], rows[2]]})
    logger, _ = track("offline")
    logger.evaluation_ended(compared)
    assert wandb.runs[0].summary["test/random/age_mae"] == 4.0  # trial 2's


def test_its_table_has_every_model_and_baseline_with_intervals(wandb, track, evaluation, folder):
    logger, _ = track("offline")
    logger.evaluation_ended(evaluation)
    ((step, logged),) = wandb.runs[0].logged
    table = logged["models"]
    rows = [dict(zip(table.columns, cells, strict=True)) for cells in table.data]
    assert step == 7
    assert [(found["label"], found["num_seeds"]) for found in rows] == [
        ("trial 1", 3), ("trial 1", 3), ("trial 2", 1), ("median", None),
    ]  # fmt: skip
    ends = [rows[0][f"age_mae/{end}"] for end in ("value", "low", "high")]
    assert ends == [5.0, 4.0, 6.0]


def test_the_model_goes_to_wandb_and_no_photograph(wandb, track, evaluation, folder):
    logger, _ = track("offline")
    logger.evaluation_ended(evaluation)
    artifacts = wandb.runs[0].artifacts
    assert {kind: found.content for kind, found in artifacts.items()} == {
        "report": b"<p>no photographs", "model": b"model",
    }  # fmt: skip


def test_an_evaluation_that_wandb_refuses_is_said_once(wandb, track, evaluation, folder):
    wandb.failing.add("artifact")
    logger, said = track("offline")
    logger.evaluation_ended(evaluation)
    assert len(said) == 1
    assert "artifact refused for ***" in said[0]
    assert wandb.runs[0].exit_code == 0
