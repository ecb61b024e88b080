"""Searches across a head and workers of real processes (see conftest.py), and their refusals."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[3]
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
    assert search.folder.record.status == "finished"
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
    left = {str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file()}
    name = search.folder.path.name
    predictions = {f"{name}/predictions/trial_{number:04d}.npz" for number in range(NUM_TRIALS)}
    assert left == {f"{name}/trial_{best:04d}.pt", *predictions}
    assert search.folder.record.hardware.nodes == 3

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


def test_a_submitted_job_searches_on_the_cluster(local_cluster, tmp_path):
    results = tmp_path / "results"
    command = [
        str(Path(sys.executable).with_name("ray")), "job", "submit",
        "--address", f"http://127.0.0.1:{local_cluster.dashboard_port}",
        "--runtime-env", "tune/cluster/job.yaml", "--",
        "python", "tune/run_search.py", "--address", "auto", "--space", "quick", "--data", "demo",
        "--weights", "none", "--image-size", "32", "--num-trials", "2", "--max-epochs", "1",
        "--no-confirm", "--wandb", "disabled", "--results", str(results),
    ]  # fmt: skip
    process = subprocess.run(
        command, cwd=REPOSITORY, env=local_cluster.env, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    (record,) = results.glob("*/search.json")
    assert json.loads(record.read_text())["status"] == "finished"


@pytest.fixture
def refused(search):
    def refused_(*arguments, env=None, results=None):
        """Run a search that cannot be; return its one line."""
        if results is not None:
            search.results = results
        process = search.new("--num-trials", 1, *arguments, env=env)
        assert search.wait(process) == 2, search.log.read_text()
        _begun, line = search.log.read_text().splitlines()
        assert line.startswith("error: ")
        assert not list(search.results.glob("*/search.json"))
        return line

    return refused_


@pytest.fixture
def hiding(local_cluster):
    if not local_cluster.hidden:
        pytest.skip("this user may not give a process file systems of its own (unshare -m)")


@pytest.mark.usefixtures("hiding")
def test_several_nodes_and_no_shared_storage(refused, local_cluster):
    line = refused(results=local_cluster.private / "results")
    assert line.count("what the driver wrote is not there") == len(local_cluster.workers)
    assert "give --storage" in line


@pytest.mark.usefixtures("hiding")
def test_a_storage_that_only_the_driver_reaches(refused, local_cluster):
    storage = local_cluster.private / "storage"
    line = refused("--storage", storage)
    assert f"checkpoints in {storage} are out of reach" in line


@pytest.mark.usefixtures("hiding")
def test_faces_that_no_object_store_holds(refused):
    line = refused("--image-size", 224)  # 600 faces of 147 KiB
    assert "(86.1 MiB at 224 px) do not fit into the object store" in line
    assert "--object-store-memory" in line


@pytest.mark.parametrize("token", ["", "f" * 64])
def test_a_missing_or_another_token(refused, token, tmp_path):
    env = {"RAY_AUTH_TOKEN": token, "RAY_AUTH_TOKEN_PATH": "", "HOME": str(tmp_path)}
    line = refused(env=env)
    assert "asks for a token" in line
    assert "ray get-auth-token" in line
