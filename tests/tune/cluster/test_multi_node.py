"""Searches across a head and workers of real processes (see conftest.py)."""

import json
import time

import pytest

pytestmark = pytest.mark.slow

NUM_TRIALS, MAX_EPOCHS = 4, 3
BUDGET = ["--num-trials", NUM_TRIALS, "--max-epochs", MAX_EPOCHS, "--scheduler", "none"]


def wait_for_epochs(search, process, num_epochs):
    """Wait until so many epochs are on record, or the search has ended."""
    deadline = time.monotonic() + 240
    while search.num_epochs() < num_epochs and process.poll() is None:
        assert time.monotonic() < deadline, search.log.read_text()
        time.sleep(0.1)


def assert_whole(search):
    """Each trial is complete and has each of its epochs once."""
    records = search.records()
    assert [record.state for record in records] == ["COMPLETE"] * NUM_TRIALS
    for record in records:
        assert [epoch["epoch"] for epoch in record.epochs] == list(range(1, MAX_EPOCHS + 1))
    assert search.folder.record["status"] == "finished"
    assert "Traceback" not in search.log.read_text()


def test_nodes_without_code_and_faces_get_both_and_share_the_storage(search, tmp_path):
    storage = tmp_path / "storage"
    process = search.new(*BUDGET, "--storage", storage)
    assert search.wait(process) == 0, search.log.read_text()
    assert_whole(search)
    best = json.loads((search.folder.path / "best.json").read_text())["trial"]
    left = [str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file()]
    assert left == [f"{search.folder.path.name}/trial_{best:04d}.pt"]
    assert search.folder.record["hardware"]["nodes"] == 3


def test_trials_of_a_node_that_goes_away_go_on_elsewhere(search, local_cluster, tmp_path):
    doomed = local_cluster.add_worker()
    process = search.new(*BUDGET, "--storage", tmp_path / "storage")
    wait_for_epochs(search, process, 2)
    local_cluster.kill(doomed)
    assert search.wait(process) == 0, search.log.read_text()
    assert_whole(search)


def test_a_killed_driver_is_resumed_by_another_process(search, tmp_path):
    process = search.new(*BUDGET, "--storage", tmp_path / "storage")
    wait_for_epochs(search, process, 3)
    process.kill()
    process.wait()
    before = {r.number: r for r in search.records() if r.state != "RUNNING"}
    process = search.start("--resume")
    assert search.wait(process) == 0, search.log.read_text()
    assert_whole(search)
    after = {record.number: record for record in search.records()}
    assert before.items() <= after.items()


def test_a_search_is_driven_from_outside_the_cluster(search, local_cluster, tmp_path):
    address = f"ray://127.0.0.1:{local_cluster.client_port}"
    process = search.new(*BUDGET, "--storage", tmp_path / "storage", address=address)
    assert search.wait(process) == 0, search.log.read_text()
    assert_whole(search)
