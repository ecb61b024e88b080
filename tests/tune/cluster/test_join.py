"""Joining Ray, and what travels to a cluster or must not; see test_clusters.py for real ones."""

import socket
import sys
import zipfile
from types import SimpleNamespace
from unittest import mock

import pytest
import ray
import yaml
from ray._private.runtime_env.packaging import create_package
from ray.train._internal.storage import StorageContext

from tune import cluster
from tune.cluster.join import CLIENT_ATTEMPTS, check_results, job_code, staged_in
from tune.options import REPOSITORY
from utkface.io import UserError


@pytest.mark.parametrize("address", ["nonsense", "host:", ":123", "127.0.0.1:port"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(UserError, match=r"allowed: host:port, auto, ray://host:port"):
        cluster.connect(address)


def test_nobody_listening_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(UserError, match="no Ray cluster at"):
            cluster.connect(address)


@pytest.fixture
def busy_head(monkeypatch):
    """Let a head fail so many times to start a client's server; return its address and `init`."""
    error = ConnectionAbortedError(
        "Initialization failure from server:\nTraceback (most recent call last):\n"
        '  File "proxier.py", line 1, in Datapath\nRuntimeError: no such luck\n'
    )
    monkeypatch.setattr(sys.modules["tune.cluster.join"], "CLIENT_PAUSE_S", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def busy(num_failures):
            answers = [*[error] * num_failures, SimpleNamespace(dashboard_url="127.0.0.1:1")]
            monkeypatch.setattr(ray, "init", init := mock.Mock(side_effect=answers))
            return f"ray://127.0.0.1:{server.getsockname()[1]}", init

        yield busy


def test_a_head_too_busy_for_a_client_is_asked_again(busy_head):
    address, init = busy_head(2)
    assert cluster.connect(address) == "http://127.0.0.1:1"
    assert init.call_count == 3


def test_a_head_that_stays_too_busy_is_told_with_its_own_reason(busy_head):
    address, init = busy_head(99)
    with pytest.raises(UserError, match=r"\(RuntimeError: no such luck\)") as caught:
        cluster.connect(address)
    assert "\n" not in str(caught.value)
    assert init.call_count == CLIENT_ATTEMPTS


def test_a_listener_that_is_no_ray_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(sys.modules["tune.cluster.join"], "CONNECT_TIMEOUT_S", 2)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(UserError, match=r"no Ray cluster at .*no answer in 2 s"),
    ):
        cluster.connect(f"127.0.0.1:{server.getsockname()[1]}")


def packed(folder, excludes, target, include_parent_dir=True):
    """Return the names of the files that Ray would send of a folder."""
    create_package(str(folder), target, True, include_parent_dir, excludes)
    with zipfile.ZipFile(target) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_workers_get_the_three_packages_and_nothing_else(tmp_path):
    environment = job_code()
    names = set()
    for number, module in enumerate(environment["py_modules"]):
        names |= packed(module, environment["excludes"], tmp_path / f"{number}.zip")
    assert {name.split("/")[0] for name in names} == {"tune", "utkface", "search_spaces"}
    assert {
        "tune/execution/trainable.py",
        "utkface/data/faces.py",
        "search_spaces/common.py",
    } <= names
    assert not {name for name in names if name.endswith((".pyc", ".npy", ".pt", ".pth"))}
    assert environment.keys() == {"py_modules", "excludes"}  # no variable, so no secret, goes along


def test_a_submitted_job_leaves_faces_results_and_environments_behind(tmp_path):
    project = tmp_path / "project"
    kept = {"tune/run_search.py", "utkface/config.py", "pyproject.toml", "data.py"}
    left = {
        "data/UTKFace/1_0_0_1.jpg", "results/run/report.html", ".venv/bin/python", ".git/HEAD",
        ".netrc", "wandb/run/x", "tests/test_x.py", "tune/__pycache__/x.pyc",
    }  # fmt: skip
    for name in kept | left:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    job = yaml.safe_load((REPOSITORY / "tune" / "cluster" / "job.yaml").read_text())
    assert job["working_dir"] == "."
    assert packed(project, job["excludes"], tmp_path / "job.zip", False) == kept


def test_in_a_submitted_jobs_copy_of_the_code_nothing_is_sent_again_or_kept(tmp_path):
    copy = tmp_path / "session" / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    assert job_code(copy) == {}  # Ray would refuse to send the code twice
    with pytest.raises(UserError, match="name a folder that stays"):
        check_results(copy / "results", root=copy)
    check_results(tmp_path / "results", root=copy)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file; name a folder"):
        check_results(tmp_path / "file")
    check_results(tmp_path / "project" / "results", root=tmp_path / "project")


def test_tune_stages_its_logs_where_staged_here_tells_it_to(tmp_path):
    """The first to fail where a newer Ray has moved what the project replaces of it."""
    context = StorageContext(storage_path=str(tmp_path / "run"), experiment_dir_name="ray")
    with staged_in(str(tmp_path / "here")):
        assert context.experiment_driver_staging_path.startswith(str(tmp_path / "here"))
    with pytest.raises(AssertionError, match="Ray must be initialized"):
        _ = context.experiment_driver_staging_path
