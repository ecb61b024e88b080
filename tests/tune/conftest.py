"""Sets what Ray reads when it is imported, before any test file imports it."""

import copy
import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tune  # noqa: F401
from tune.execution.reporting import RunStart
from tune.options import REPOSITORY
from tune.options.search import SearchOptions
from tune.records.retrain import RetrainRecord
from tune.records.search import SearchRecord

OF_OPTIONS = {field.name for field in dataclasses.fields(SearchOptions)} - {
    *SearchRecord.model_fields
}


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be a machine of two cores on which no Ray is started: plans are made without."""
    node = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 8.0 * 2**30}}
    monkeypatch.setattr(sys.modules["tune.cluster.join"], "connect", lambda address: None)
    monkeypatch.setattr("ray.nodes", lambda: [node])


@pytest.fixture(scope="session")
def finished_search() -> dict[str, Any]:
    """The content of a search.json as a finished search leaves it."""
    return {
        "name": "oversampling-1",
        "space": "oversampling",
        "question": "Does oversampling rare ages lower the error?",
        "space_signature": {
            "parameters": {"max_lr": {"ranges": ["0.0001..0.01 log"], "num_draws": 100}},
            "constants": {"clip_norm": 0.0},
            "points": [],
        },
        "points": [],
        "command": "python tune/run_search.py --space oversampling",
        "options": {
            "space": "oversampling",
            "objective": "score",
            "num_trials": 3,
            "max_epochs": 6,
        },
        "created": "2026-01-01T10:00:00",
        "ended": "2026-01-01T12:00:00",
        "wall_s": 7200.0,
        "status": "finished",
        "rungs": [1, 3],
        "data": {
            "source": "UTKFace",
            "fingerprint": "f" * 64,
            "split_hash": "5" * 64,
            "is_demo": False,
            "num_faces": 23705,
            "num_rejected": 3,
            "num_train": 15000,
            "num_val": 3800,
            "num_test": 4741,
        },
        "concurrency": 2,
        "cpus_per_trial": 1.0,
        "gpus_per_trial": 0.0,
        "hardware": {"nodes": 1, "cpus": 2.0, "gpus": 0, "memory_gib": 15.7, "accelerators": []},
        "versions": {"torch": "2.15.0"},
        "commit": "abc",
    }


@pytest.fixture
def search_json(finished_search: dict[str, Any]) -> dict[str, Any]:
    """The same, to be changed."""
    return copy.deepcopy(finished_search)


def with_changes(search_json: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Change fields of a search.json, or of the options in it."""
    options = {name: changes.pop(name) for name in OF_OPTIONS if name in changes}
    return {**search_json, "options": {**search_json["options"], **options}, **changes}


@pytest.fixture
def changed_search(search_json: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Return the content of a search.json with some of its fields or options changed."""
    return functools.partial(with_changes, search_json)


@pytest.fixture
def search_record(changed_search: Callable[..., dict[str, Any]]) -> Callable[..., SearchRecord]:
    """Return the record of a search, with some of its fields or options changed."""
    return lambda **changes: SearchRecord.parse(changed_search(**changes), "search.json")


@pytest.fixture
def retrain_record(search_json: dict[str, Any]) -> Callable[..., RetrainRecord]:
    """Return the record of a retraining, with some fields changed."""
    own = {
        "name": "retrain-1", "search": "oversampling-1", "finalists": [], "options": {},
        "hardware": None,
    }  # fmt: skip
    return lambda **changes: RetrainRecord.parse({**search_json, **own, **changes}, "retrain.json")


@pytest.fixture
def start_of(search_record: Callable[..., SearchRecord]) -> Callable[..., RunStart]:
    """Return the start of a search, with some fields of its record changed."""
    folder, dashboard = Path("/runs/oversampling-1"), "http://127.0.0.1:8265"
    return lambda **changes: RunStart(search_record(**changes), folder, dashboard)


@pytest.fixture
def start_search() -> Iterator[Callable[..., subprocess.Popen]]:
    """Start ``tune/run_search.py`` as a process that writes to a log; none outlives its test."""
    processes = []

    def start(*arguments: object, log: Path) -> subprocess.Popen:
        command = [sys.executable, "tune/run_search.py", *map(str, arguments)]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT
            )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def start_small(start_search: Callable[..., subprocess.Popen]) -> Callable[..., subprocess.Popen]:
    """Start a search over demo faces of 32 pixels, with further arguments, as `start_search`."""

    def start(results: Path, *arguments: object, log: Path) -> subprocess.Popen:
        return start_search(
            "--data", "demo", "--weights", "none", "--image-size", 32, "--wandb", "disabled",
            "--results", results, *arguments, log=log,
        )  # fmt: skip

    return start
