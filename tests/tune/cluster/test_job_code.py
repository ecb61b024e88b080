"""What travels to a cluster, and what must not."""

import zipfile

import pytest
import yaml
from ray._private.runtime_env.packaging import create_package

from tune.cluster.job_code import check_results, job_code
from tune.options import REPOSITORY
from utkface.io import UserError


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
    assert {"tune/trainable.py", "utkface/data/faces.py", "search_spaces/common.py"} <= names
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
    check_results(tmp_path / "project" / "results", root=tmp_path / "project")
