"""The W&B run that sums a retraining up."""

import pytest


def metric(value):
    return {"value": value, "low": value - 1, "high": value + 1, "per_seed": [value]}


def row(label, protocol, age_mae, **more):
    overall = {"age_mae": metric(age_mae), "gender_accuracy": metric(0.9)}
    return {
        "label": label, "protocol": protocol, "part": "test", "num_faces": 10, "overall": overall,
        **more,
    }  # fmt: skip


@pytest.fixture
def evaluation():
    mine = {"headline": True, "seeds": [0, 1, 2]}
    return {
        "name": "retrain-1", "search": "over sampling/1", "image_size": 128, "epochs": 6,
        "rows": [
            row("trial 1", "random", 5.0, **mine),
            row("trial 1", "grouped", 5.5, **mine),
            row("trial 2", "random", 4.0, headline=False, seeds=[0]),
        ],
        "baselines": [row("median", "random", 15.0)],
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "evaluation_without_faces.html").write_text("<p>no photographs")
    (tmp_path / "evaluation.html").write_text("<p>photographs")
    (tmp_path / "model.pt").write_bytes(b"model")
    return tmp_path


def test_a_retraining_ends_with_a_run_of_what_it_reached(wandb, track, evaluation, folder):
    tracker, said = track("offline", group="over sampling/1")
    tracker.evaluation_ended(evaluation)
    assert said == []
    (run,) = wandb.runs
    found = [run.arguments[name] for name in ("name", "job_type", "group")]
    assert found == ["retrain-1-evaluation", "evaluate", "over sampling/1"]
    assert run.arguments["config"]["epochs"] == 6
    # The headline's numbers, and not those of the model that looks best on the test part.
    assert run.summary["test/random/age_mae"] == 5.0
    assert run.summary["test/grouped/age_mae"] == 5.5
    assert (run.tags, run.exit_code) == (("grouped", "random"), 0)


def test_its_table_has_every_model_and_baseline_with_intervals(wandb, track, evaluation, folder):
    tracker, _ = track("offline")
    tracker.evaluation_ended(evaluation)
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
    tracker, _ = track("offline")
    tracker.evaluation_ended(evaluation)
    artifacts = wandb.runs[0].artifacts
    assert {kind: found.content for kind, found in artifacts.items()} == {
        "report": b"<p>no photographs", "model": b"model",
    }  # fmt: skip


def test_an_evaluation_that_wandb_refuses_is_said_once(wandb, track, evaluation, folder):
    wandb.failing.add("artifact")
    tracker, said = track("offline")
    tracker.evaluation_ended(evaluation)
    assert len(said) == 1
    assert "artifact refused for ***" in said[0]
    assert wandb.runs[0].exit_code == 0
