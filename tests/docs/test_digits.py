"""The example of ``docs/``: anybody's Trainable, killed in the middle, loses no trial."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from tune.study.journal import read_storage
from tune.study.store import SEARCH_STUDY, study_name, study_records

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_TRIALS = 6


def start(folder):
    command = [sys.executable, "docs/digits.py", str(folder), str(NUM_TRIALS)]
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def ended(folder):
    """Return how each ended trial went, without touching what another process may be writing."""
    storage = read_storage(folder / "study.journal")
    name = study_name(storage, SEARCH_STUDY)
    if name is None:
        return {}
    records = study_records(optuna.load_study(study_name=name, storage=storage))
    return {r.number: (r.state, r.epochs, r.params) for r in records if r.state != "RUNNING"}


@pytest.mark.slow
def test_a_search_of_another_task_is_killed_and_resumed_and_loses_no_trial(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    process = start(folder)
    deadline = time.monotonic() + 300
    while len(ended(folder)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = ended(folder)
    assert before
    process = start(folder)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    after = ended(folder)
    assert sorted(after) == list(range(NUM_TRIALS))
    assert {number: after[number] for number in before} == before
    assert {state for state, _, _ in after.values()} == {"COMPLETE", "PRUNED"}
    for _, epochs, _ in after.values():
        assert [epoch["epoch"] for epoch in epochs] == list(range(1, len(epochs) + 1))
    assert min(epochs[-1]["error"] for _, epochs, _ in after.values()) < 0.1
