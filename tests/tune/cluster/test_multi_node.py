"""Searches across a head and workers of real processes (see conftest.py)."""

import contextlib
import json
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SECRET = "local-" + "5ec2e7" * 7  # looks like a W&B key
NUM_TRIALS, MAX_EPOCHS = 4, 3
BUDGET = ["--num-trials", NUM_TRIALS, "--max-epochs", MAX_EPOCHS, "--scheduler", "none"]


def wait_for_epochs(search, process, num_epochs):
    """Wait until so many epochs are on record, or the search has ended."""
    deadline = time.monotonic() + 240
    while search.num_epochs() < num_epochs and process.poll() is None:
        assert time.monotonic() < deadline, search.log.read_text()
        time.sleep(0.1)


def command_lines():
    """Return the arguments of every process that we may look at."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield path.read_bytes()


def files_with(folder, text):
    """Return the files below a folder that hold some text; sockets and the like hold none."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]


def assert_whole(search):
    """Each trial is complete and has each of its epochs once."""
    records = search.records()
    assert [record.state for record in records] == ["COMPLETE"] * NUM_TRIALS
    for record in records:
        assert [epoch["epoch"] for epoch in record.epochs] == list(range(1, MAX_EPOCHS + 1))
    assert search.folder.record["status"] == "finished"
    assert "Traceback" not in search.log.read_text()


def test_nodes_without_code_and_faces_get_both_and_no_secret(search, local_cluster, tmp_path):
    storage = tmp_path / "storage"
    process = search.new(
        *BUDGET, "--storage", storage, "--wandb", "offline", env={"WANDB_API_KEY": SECRET}
    )
    while process.poll() is None:
        assert not any(SECRET.encode() in line for line in command_lines())
        time.sleep(0.5)
    assert search.wait(process) == 0, search.log.read_text()
    assert_whole(search)
    best = json.loads((search.folder.path / "best.json").read_text())["trial"]
    left = [str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file()]
    assert left == [f"{search.folder.path.name}/trial_{best:04d}.pt"]
    assert search.folder.record["hardware"]["nodes"] == 3

    actors = local_cluster.ask_dashboard(
        "{(a.class_name, a.repr_name) for a in list_actors(url, detail=True)}"
    )
    assert "('FaceTrainable', 'trial_0000')" in actors
    jobs = local_cluster.ask_dashboard("JobSubmissionClient(url).list_jobs()")
    assert "py_modules" in jobs
    assert SECRET not in jobs
    for folder in (tmp_path, local_cluster.folder):  # run folder, checkpoints, all of Ray's logs
        assert files_with(folder, SECRET) == []


def test_trials_of_a_node_that_goes_away_go_on_elsewhere(search, local_cluster, tmp_path):
    doomed = local_cluster.add_worker()
    process = search.new(*BUDGET, "--storage", tmp_path / "storage")
    wait_for_epochs(search, process, 2)
    local_cluster.kill(doomed)
    assert search.wait(process) == 0, search.log.read_text()
    assert_whole(search)


def test_a_killed_driver_is_resumed_from_outside_the_cluster(search, local_cluster, tmp_path):
    process = search.new(*BUDGET, "--storage", tmp_path / "storage")
    wait_for_epochs(search, process, 3)
    process.kill()
    process.wait()
    before = {r.number: r for r in search.records() if r.state != "RUNNING"}
    outside = f"ray://127.0.0.1:{local_cluster.client_port}"
    process = search.start("--resume", address=outside)
    assert search.wait(process) == 0, search.log.read_text()
    assert_whole(search)
    after = {record.number: record for record in search.records()}
    assert before.items() <= after.items()
