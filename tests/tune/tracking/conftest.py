"""A stand-in for the wandb module, and the ways in which tests make up a search."""

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tune.records.trials import TrialRecord
from tune.tracking.wandb_logger import WandbLogger


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

    KEY = "k9" * 20
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
            raise ConnectionError(f"{what} refused for {self.KEY}\nsecond line")

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
    monkeypatch.setenv("WANDB_API_KEY", FakeWandb.KEY)
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


@pytest.fixture
def search_json(search_json):
    return {**search_json, "name": "over sampling/1"}


@pytest.fixture
def record():
    """Make up a trial that ended."""

    def make(number, state, score=0.9, reason=None):
        num_epochs = {"COMPLETE": 4, "PRUNED": 3}.get(state, 0)
        epochs = [{"epoch": i, "score": score} for i in range(1, num_epochs + 1)]
        return TrialRecord(
            number=number, state=state, score=score, params={}, config={"dropout": 0.1 * number},
            epochs=epochs, reason=reason,
        )  # fmt: skip

    return make


@pytest.fixture
def epoch():
    return lambda number: {"epoch": number, "score": 1.0 / number}


@pytest.fixture
def track(tmp_path, start_of):
    """Begin to log a search; return the logger and the list of what it says."""

    def begin(mode, **search):
        said = []
        logger = WandbLogger(mode, tmp_path, say=said.append)
        logger.search_started(start_of(**search))
        return logger, said

    return begin
