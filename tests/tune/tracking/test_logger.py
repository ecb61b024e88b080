"""One W&B run per trial: what it is told, and that nothing of W&B reaches the search."""

import re
import sys

import pytest

from tune.execution.reporting import RunStart
from tune.tracking.wandb_logger import WandbLogger, resolve_mode
from utkface.io import UserError


def test_retraining_joins_the_group_of_its_search_under_names_of_its_own(
    wandb, tmp_path, retrain_record
):
    logger = WandbLogger(
        "offline", tmp_path, job_type="retrain", run_name=["trial 9, seed 0"].__getitem__
    )
    logger.search_started(RunStart(retrain_record(), tmp_path))
    logger.trial_started(0, {"dropout": 0.1}, 0)
    logger.close()
    (arguments,) = [run.arguments for run in wandb.runs]
    found = [arguments[name] for name in ("group", "job_type", "name")]
    assert found == ["oversampling-1", "retrain", "trial 9, seed 0"]
    assert arguments["id"].startswith("retrain-1-")  # not an id that the search has used


def test_one_run_per_trial_with_its_epochs_and_its_ending(
    wandb, tmp_path, record, epoch, track, search_json
):
    logger, said = track("offline")
    for number in (0, 1, 2):
        logger.trial_started(number, {"dropout": 0.1}, 0)
    for step in (1, 2):
        for number in (0, 1, 2):
            logger.epoch_finished(number, epoch(step))
    logger.trial_ended(record(0, "COMPLETE"))
    logger.trial_ended(record(1, "PRUNED"))
    logger.trial_ended(record(2, "FAIL", score=None, reason="loss is nan"))
    logger.search_ended([], None)
    assert said == []
    first, second, third = wandb.trial_runs
    assert first.arguments["name"] == "trial-000"
    assert first.arguments["group"] == search_json["name"]
    assert first.arguments["job_type"] == "search"
    assert first.arguments["project"] == "utkface-tune"
    assert first.arguments["config"] == {"dropout": 0.1, "trial": 0}
    assert first.arguments["dir"] == str(tmp_path)
    assert first.calls == ["log", "log", "finish"]
    assert first.logged == [(1, 1.0), (2, 0.5)]
    assert [run.exit_code for run in wandb.trial_runs] == [0, 0, 1]
    assert [run.tags for run in wandb.trial_runs] == [
        ("complete",), ("stopped at rung 3",), ("failed",),
    ]  # fmt: skip
    assert second.summary == {"state": "PRUNED", "ending": "stopped at rung 3", "score": 0.9}
    assert third.summary == {"state": "FAIL", "ending": "failed: loss is nan", "score": None}


def test_run_ids_are_the_same_after_a_resume_and_differ_between_searches(wandb, track):
    ids = []
    for search in ({}, {}, {"created": "2026-01-02T03:04:06"}):
        logger, _ = track("offline", **search)
        for number in (0, 1):
            logger.trial_started(number, {}, 0)
        logger.close()
        ids.append([run.arguments["id"] for run in wandb.runs[-2:]])
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4
    assert all(re.fullmatch("over-sampling-1-[0-9a-f]{8}-00[01]", run_id) for run_id in ids[0])


def test_epochs_already_logged_are_not_logged_again(wandb, epoch, track):
    wandb.first_steps["trial-001"] = 5  # W&B has epochs 0 to 4 of this one
    logger, _ = track("online")
    for number in (0, 1):
        logger.trial_started(number, {}, 2)
        for step in (1, 2, 3, 4, 5, 5):
            logger.epoch_finished(number, epoch(step))
    logger.close()
    assert [step for step, _ in wandb.runs[0].logged] == [3, 4, 5]
    assert [step for step, _ in wandb.runs[1].logged] == [5]


def test_a_trial_that_starts_again_keeps_its_open_run(wandb, track):
    logger, _ = track("offline")
    logger.trial_started(0, {}, 0)
    logger.trial_started(0, {}, 0)
    logger.close()
    assert len(wandb.runs) == 1


def test_an_interrupted_trial_is_left_to_be_continued(wandb, record, track):
    logger, _ = track("offline")
    logger.trial_started(0, {}, 0)
    logger.search_ended([record(0, "RUNNING")], None)
    run = wandb.runs[0]
    assert run.calls == ["preempting", "finish"]
    assert run.exit_code == 1
    assert run.tags == ()
    assert "state" not in run.summary


def test_demo_faces_are_tagged(wandb, record, track, search_json):
    logger, _ = track("offline", data={**search_json["data"], "is_demo": True})
    logger.trial_started(0, {}, 0)
    logger.trial_ended(record(0, "COMPLETE"))
    logger.close()
    assert wandb.runs[0].arguments["tags"] == ("demo faces",)
    assert wandb.runs[0].tags == ("demo faces", "complete")


def test_the_groups_address_is_said_once(wandb, track):
    logger, said = track("online")
    for number in (0, 1):
        logger.trial_started(number, {}, 0)
    logger.close()
    assert said == ["W&B: https://wandb.ai/me/utkface-tune/groups/over%20sampling%2F1"]


def test_unreachable_wandb_is_said_once_and_recorded_offline(wandb, epoch, track):
    wandb.failing.add("init online")
    logger, said = track("online")
    for number in (0, 1):
        logger.trial_started(number, {}, 0)
        logger.epoch_finished(number, epoch(1))
    logger.close()
    assert [run.arguments["mode"] for run in wandb.runs] == ["offline", "offline"]
    assert [run.logged for run in wandb.runs] == [[(1, 1.0)], [(1, 1.0)]]
    assert len(said) == 1
    assert "wandb sync" in said[0]
    assert wandb.KEY not in said[0]
    assert "\n" not in said[0]


@pytest.mark.parametrize("what", ["init offline", "log"])
def test_failures_never_reach_the_search(wandb, what, record, epoch, track):
    wandb.failing.add(what)
    logger, said = track("offline")
    for number in (0, 1):
        logger.trial_started(number, {}, 0)
        logger.epoch_finished(number, epoch(1))
        logger.trial_ended(record(number, "COMPLETE"))
    logger.search_ended([], None)
    assert len(said) == 1


def test_a_hanging_wandb_blocks_neither_the_search_nor_its_end(wandb, record, epoch, track):
    wandb.gate.clear()
    logger, said = track("offline")
    for number in range(50):
        logger.trial_started(number, {}, 0)
        logger.epoch_finished(number, epoch(1))
        logger.trial_ended(record(number, "COMPLETE"))
    assert wandb.runs == []  # the search is through while W&B has not begun
    logger.close(timeout_s=0.05)
    assert logger._thread.daemon  # so that the process can end
    assert "still busy" in said[-1]
    num_said = len(said)
    logger.close(timeout_s=60)  # it has been waited for
    assert len(said) == num_said
    wandb.gate.set()
    logger._thread.join(10)
    assert len(wandb.runs) == 50


def test_closing_without_a_start_or_twice_does_nothing(wandb, tmp_path, track):
    WandbLogger("offline", tmp_path).close()
    logger, said = track("offline")
    logger.close()
    logger.close()
    assert said == []


@pytest.mark.parametrize(
    ("requested", "environment", "has_key", "mode"),
    [
        (None, None, True, "online"),
        (None, None, False, "offline"),
        (None, "offline", True, "offline"),
        (None, "disabled", True, "disabled"),
        ("online", "disabled", True, "online"),
        ("offline", None, True, "offline"),
        ("disabled", None, True, "disabled"),
    ],
)
def test_mode(wandb, monkeypatch, requested, environment, has_key, mode):
    wandb.has_key = has_key
    if environment:
        monkeypatch.setenv("WANDB_MODE", environment)
    resolved, line = resolve_mode(requested)
    assert resolved == mode
    # Something is said only where it goes otherwise than the user may expect.
    assert (line is not None and "wandb sync" in line) == (not has_key)


def test_online_without_a_key_and_unknown_modes_are_refused(wandb, monkeypatch):
    wandb.has_key = False
    with pytest.raises(UserError, match="no API key was found; run wandb login"):
        resolve_mode("online")
    wandb.failing.add("login")
    with pytest.raises(UserError, match="refused") as caught:
        resolve_mode("online")
    assert wandb.KEY not in str(caught.value)
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="'sometimes' is unknown; allowed: online"):
        resolve_mode(None)


def test_wandb_is_not_imported_when_disabled(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # which makes an import of it an error
    assert resolve_mode("disabled")[0] == "disabled"
    assert resolve_mode("offline")[0] == "offline"
