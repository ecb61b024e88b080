import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tune.records import TrialRecord
from tune.tracking import WandbTracker, resolve_mode
from utkface.errors import UserError

SEARCH = {
    "name": "over sampling/1", "created": "2026-01-02T03:04:05", "seed": 0, "rungs": [1, 3],
    "num_trials": 3,
}  # fmt: skip
KEY = "k9" * 20


class FakeRun:
    def __init__(self, wandb, arguments):
        self.wandb, self.arguments = wandb, arguments
        self.step = wandb.first_steps.get(arguments["name"], 0)
        self.project_url = "https://wandb.ai/me/utkface-tune"
        self.logged, self.summary, self.tags, self.exit_code = [], {}, arguments["tags"], None
        self.calls, self.artifacts = [], {}

    def log(self, metrics, step, commit):
        self.wandb.check("log")
        self.logged.append((step, metrics.get("score", metrics)))
        self.calls.append("log")

    def log_artifact(self, artifact):
        self.wandb.check("artifact")
        self.artifacts[artifact.type] = artifact

    def mark_preempting(self):
        self.calls.append("preempting")

    def finish(self, exit_code):
        self.calls.append("finish")
        self.exit_code = exit_code


class FakeArtifact:
    def __init__(self, name, type, metadata):
        self.name, self.type, self.metadata = name, type, metadata
        self.content = b""

    def add_file(self, path):
        self.content = Path(path).read_bytes()


class FakeWandb:
    """Stands in for the wandb module: keeps what it is told, and fails or hangs when asked to."""

    Settings = Table = SimpleNamespace
    Artifact = FakeArtifact

    @property
    def trial_runs(self):
        return [run for run in self.runs if run.arguments["job_type"] != "summary"]

    @property
    def summary_runs(self):
        return [run for run in self.runs if run.arguments["job_type"] == "summary"]

    def __init__(self):
        self.runs, self.first_steps = [], {}
        self.failing, self.gate, self.has_key = set(), threading.Event(), True
        self.gate.set()

    def check(self, what):
        self.gate.wait(30)
        if what in self.failing:
            raise ConnectionError(f"{what} refused for {KEY}\nsecond line")

    def setup(self, settings):
        pass

    def login(self, prompt, verify):
        assert not prompt
        assert not verify
        self.check("login")
        return self.has_key

    def init(self, **arguments):
        self.check(f"init {arguments['mode']}")
        self.runs.append(FakeRun(self, arguments))
        return self.runs[-1]


@pytest.fixture
def wandb(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def record(number, state, score=0.9, reason=None):
    num_epochs = {"COMPLETE": 4, "PRUNED": 3}.get(state, 0)
    return TrialRecord(
        number=number,
        state=state,
        score=score,
        params={},
        config={"dropout": 0.1 * number},
        epochs=[{"epoch": i, "score": score} for i in range(1, num_epochs + 1)],
        reason=reason,
        started=None,
        ended=None,
    )


def epoch(number):
    return {"epoch": number, "score": 1.0 / number}


def track(mode, tmp_path, search=SEARCH):
    said = []
    tracker = WandbTracker(mode, tmp_path, say=said.append)
    tracker.search_started(search)
    return tracker, said


def test_retraining_joins_the_group_of_its_search_under_names_of_its_own(wandb, tmp_path):
    tracker = WandbTracker(
        "offline", tmp_path, job_type="retrain", run_name=["trial 9, seed 0"].__getitem__
    )
    tracker.search_started({**SEARCH, "name": "retrain-1", "group": "oversampling-1"})
    tracker.trial_started(0, {"dropout": 0.1}, 0)
    tracker.close()
    (arguments,) = [run.arguments for run in wandb.runs]
    found = [arguments[name] for name in ("group", "job_type", "name")]
    assert found == ["oversampling-1", "retrain", "trial 9, seed 0"]
    assert arguments["id"].startswith("retrain-1-")  # not an id that the search has used


def test_one_run_per_trial_with_its_epochs_and_its_ending(wandb, tmp_path):
    tracker, said = track("offline", tmp_path)
    for number in (0, 1, 2):
        tracker.trial_started(number, {"dropout": 0.1}, 0)
    for step in (1, 2):
        for number in (0, 1, 2):
            tracker.epoch_finished(number, epoch(step))
    tracker.trial_ended(record(0, "COMPLETE"))
    tracker.trial_ended(record(1, "PRUNED"))
    tracker.trial_ended(record(2, "FAIL", score=None, reason="loss is nan"))
    tracker.search_ended([], None)
    assert said == []
    first, second, third = wandb.trial_runs
    assert first.arguments["name"] == "trial-000"
    assert first.arguments["group"] == SEARCH["name"]
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


def search_of(records, tmp_path, mode="offline", **search):
    """Track a search that ended with these trials and a report; return what was said."""
    tracker, said = track(mode, tmp_path, {**SEARCH, **search})
    report = tmp_path / "report.html"
    report.write_text("<p>the report")
    tracker.search_ended(records, report)
    return said


def test_a_search_ends_with_a_summary_run(wandb, tmp_path):
    records = [
        record(0, "COMPLETE", 0.9),
        record(1, "PRUNED", 0.2),
        record(2, "COMPLETE", 0.8),
        record(3, "FAIL", None, "loss is nan"),
    ]
    assert search_of(records, tmp_path, num_trials=4) == []
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


def test_an_interrupted_search_continues_its_summary_run(wandb, tmp_path):
    search_of([record(0, "COMPLETE"), record(1, "RUNNING")], tmp_path)
    search_of([record(number, "COMPLETE") for number in range(3)], tmp_path)
    first, second = wandb.runs
    assert first.arguments["id"] == second.arguments["id"]
    assert [run.tags for run in wandb.runs] == [("unfinished",), ("finished",)]
    assert [run.logged[0][0] for run in wandb.runs] == [1, 3]


def test_a_summary_that_fails_is_said_once_and_its_run_ends(wandb, tmp_path):
    wandb.failing.add("artifact")
    said = search_of([record(0, "COMPLETE")], tmp_path)
    assert len(said) == 1
    assert "artifact refused for ***" in said[0]
    assert wandb.runs[0].calls == ["log", "finish"]


def test_the_best_model_is_one_to_predict_with(wandb, tmp_path):
    torch = pytest.importorskip("torch")
    from utkface.config import TrainConfig
    from utkface.model import build_model
    from utkface.model_file import load_model

    class Store:
        @staticmethod
        def load(number):
            assert number == 2
            return state

    config = TrainConfig(pretrained=False)
    weights = build_model(config, "none").state_dict()
    state = {"config": config.to_dict(), "model": weights, "average": {"weights": None}}
    tracker = WandbTracker("offline", tmp_path, checkpoints=Store())
    tracker.search_started(SEARCH)
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


def test_run_ids_are_the_same_after_a_resume_and_differ_between_searches(wandb, tmp_path):
    ids = []
    for search in (SEARCH, SEARCH, {**SEARCH, "created": "2026-01-02T03:04:06"}):
        tracker, _ = track("offline", tmp_path, search)
        for number in (0, 1):
            tracker.trial_started(number, {}, 0)
        tracker.close()
        ids.append([run.arguments["id"] for run in wandb.runs[-2:]])
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4
    assert all(re.fullmatch("over-sampling-1-[0-9a-f]{8}-00[01]", run_id) for run_id in ids[0])


def test_epochs_already_logged_are_not_logged_again(wandb, tmp_path):
    wandb.first_steps["trial-001"] = 5  # W&B has epochs 0 to 4 of this one
    tracker, _ = track("online", tmp_path)
    for number in (0, 1):
        tracker.trial_started(number, {}, 2)
        for step in (1, 2, 3, 4, 5, 5):
            tracker.epoch_finished(number, epoch(step))
    tracker.close()
    assert [step for step, _ in wandb.runs[0].logged] == [3, 4, 5]
    assert [step for step, _ in wandb.runs[1].logged] == [5]


def test_a_trial_that_starts_again_keeps_its_open_run(wandb, tmp_path):
    tracker, _ = track("offline", tmp_path)
    tracker.trial_started(0, {}, 0)
    tracker.trial_started(0, {}, 0)
    tracker.close()
    assert len(wandb.runs) == 1


def test_an_interrupted_trial_is_left_to_be_continued(wandb, tmp_path):
    tracker, _ = track("offline", tmp_path)
    tracker.trial_started(0, {}, 0)
    tracker.search_ended([record(0, "RUNNING")], None)
    run = wandb.runs[0]
    assert run.calls == ["preempting", "finish"]
    assert run.exit_code == 1
    assert run.tags == ()
    assert "state" not in run.summary


def test_demo_faces_are_tagged(wandb, tmp_path):
    tracker, _ = track("offline", tmp_path, {**SEARCH, "data": {"is_demo": True}})
    tracker.trial_started(0, {}, 0)
    tracker.trial_ended(record(0, "COMPLETE"))
    tracker.close()
    assert wandb.runs[0].arguments["tags"] == ("demo faces",)
    assert wandb.runs[0].tags == ("demo faces", "complete")


def test_the_groups_address_is_said_once(wandb, tmp_path):
    tracker, said = track("online", tmp_path)
    for number in (0, 1):
        tracker.trial_started(number, {}, 0)
    tracker.close()
    assert said == ["W&B: https://wandb.ai/me/utkface-tune/groups/over%20sampling%2F1"]


def test_unreachable_wandb_is_said_once_and_recorded_offline(wandb, tmp_path):
    wandb.failing.add("init online")
    tracker, said = track("online", tmp_path)
    for number in (0, 1):
        tracker.trial_started(number, {}, 0)
        tracker.epoch_finished(number, epoch(1))
    tracker.close()
    assert [run.arguments["mode"] for run in wandb.runs] == ["offline", "offline"]
    assert [run.logged for run in wandb.runs] == [[(1, 1.0)], [(1, 1.0)]]
    assert len(said) == 1
    assert "wandb sync" in said[0]
    assert KEY not in said[0]
    assert "\n" not in said[0]


@pytest.mark.parametrize("what", ["init offline", "log"])
def test_failures_never_reach_the_search(wandb, tmp_path, what):
    wandb.failing.add(what)
    tracker, said = track("offline", tmp_path)
    for number in (0, 1):
        tracker.trial_started(number, {}, 0)
        tracker.epoch_finished(number, epoch(1))
        tracker.trial_ended(record(number, "COMPLETE"))
    tracker.search_ended([], None)
    assert len(said) == 1


def test_a_hanging_wandb_blocks_neither_the_search_nor_its_end(wandb, tmp_path):
    wandb.gate.clear()
    tracker, said = track("offline", tmp_path)
    for number in range(50):
        tracker.trial_started(number, {}, 0)
        tracker.epoch_finished(number, epoch(1))
        tracker.trial_ended(record(number, "COMPLETE"))
    assert wandb.runs == []  # the search is through while W&B has not begun
    tracker.close(timeout_s=0.05)
    assert tracker._background.thread.daemon  # so that the process can end
    assert "still busy" in said[-1]
    wandb.gate.set()
    tracker._background.thread.join(10)
    assert len(wandb.runs) == 50


def test_closing_without_a_start_or_twice_does_nothing(wandb, tmp_path):
    WandbTracker("offline", tmp_path).close()
    tracker, said = track("offline", tmp_path)
    tracker.close()
    tracker.close()
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
    assert KEY not in str(caught.value)
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="'sometimes' is unknown; allowed: online"):
        resolve_mode(None)


def test_wandb_is_not_imported_when_disabled():
    code = (
        "import sys, tune.tracking as t; t.resolve_mode('disabled'); t.resolve_mode('offline');"
        "sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


_REAL = """
import sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from tune.records import TrialRecord
from tune.tracking import WandbTracker, resolve_mode

epochs_done = int(sys.argv[1])
print(resolve_mode(None)[0])
# It may say that it waits for W&B, on a busy machine.
tracker = WandbTracker("offline", Path("run"), say=lambda line: None)
tracker.search_started({{"name": "real search", "created": "now"}})
for number in (0, 1):
    tracker.trial_started(number, {{"dropout": 0.1}}, epochs_done)
for epoch in (epochs_done + 1, epochs_done + 2):
    for number in (0, 1):
        tracker.epoch_finished(number, {{"epoch": epoch, "score": epoch + number}})
if epochs_done:
    for number, state in enumerate(("COMPLETE", "PRUNED")):
        tracker.trial_ended(TrialRecord(number=number, state=state, score=1.0, params={{}},
            config={{}}, epochs=[], reason=None, started=None, ended=None))
tracker.search_ended([], None)
"""


@pytest.mark.slow
def test_real_wandb_writes_offline_runs_that_it_can_read_back(tmp_path):
    """Two concurrent runs of one process, interrupted and continued by a second process."""
    repository = Path(__file__).resolve().parents[2]
    (tmp_path / "run").mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    for epochs_done, extra in (("0", {}), ("2", {"WANDB_API_KEY": KEY})):
        script = [sys.executable, "-c", _REAL.format(repository=str(repository)), epochs_done]
        done = subprocess.run(
            script, cwd=tmp_path, env=environment | extra, capture_output=True, text=True
        )
        # Nothing but the mode is printed: wandb's own messages are silenced.
        assert (done.stdout, done.stderr) == ("online\n" if extra else "offline\n", "")
    folders = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert len(folders) == 4
    runs = [_read_back(folder, environment) for folder in folders]
    ids = [run["run_id"] for run in runs]
    assert len(set(ids)) == 2
    assert ids[:2] == ids[2:]
    assert [run["step"] for run in runs] == [2, 2, 4, 4]
    assert [run["summary"]["score"] for run in runs[:2]] == [2, 3]
    assert [run["summary"]["state"] for run in runs[2:]] == ["COMPLETE", "PRUNED"]
    assert [run["tags"] for run in runs] == [[], [], ["COMPLETE"], ["PRUNED"]]
    assert runs[0]["config"] == {"dropout": 0.1, "trial": 0}
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def _read_back(folder, environment):
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    return json.loads(subprocess.check_output(command, env=environment))
