"""The W&B run that sums a search up."""

import pytest
import torch

from tune.tracking import WandbTracker
from utkface.config import TrainConfig
from utkface.model import build_model, load_model


@pytest.fixture
def search_of(track, tmp_path):
    """Track a search that ended with these trials and a report; return what was said."""

    def end(records, **search):
        tracker, said = track("offline", **search)
        report = tmp_path / "report.html"
        report.write_text("<p>the report")
        tracker.search_ended(records, report)
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


def test_an_interrupted_search_continues_its_summary_run(wandb, record, search_of):
    search_of([record(0, "COMPLETE"), record(1, "RUNNING")])
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


def test_the_best_model_is_one_to_predict_with(wandb, tmp_path, record, search_json):
    class Store:
        @staticmethod
        def load(number):
            assert number == 2
            return state

    config = TrainConfig(pretrained=False)
    weights = build_model(config, "none").state_dict()
    state = {"config": config.to_dict(), "model": weights, "average": {"weights": None}}
    tracker = WandbTracker("offline", tmp_path, checkpoints=Store())
    tracker.search_started(search_json)
    records = [record(0, "COMPLETE", 0.9), record(2, "COMPLETE", 0.8)]
    records[1].config.update(config.to_dict())
    tracker.search_ended(records, None)
    artifact = wandb.runs[0].artifacts["model"]
    assert (artifact.metadata["trial"], artifact.metadata["score"]) == (2, 0.8)
    path = tmp_path / "model.pt"
    path.write_bytes(artifact.content)
    model = load_model(path)
    assert model.about["trial"] == 2
    assert all(torch.equal(v, weights[k]) for k, v in model.model.state_dict().items())
