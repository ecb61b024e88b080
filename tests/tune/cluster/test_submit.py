"""``ray job submit`` against a running head, and where a secret must not turn up."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
SECRET = "local-" + "5ec2e7" * 7

pytestmark = pytest.mark.slow


def test_a_submitted_job_searches_on_the_cluster(local_cluster, tmp_path):
    results = tmp_path / "results"
    command = [
        str(Path(sys.executable).with_name("ray")), "job", "submit",
        "--address", f"http://127.0.0.1:{local_cluster.dashboard_port}",
        "--runtime-env", "tune/cluster/job.yaml", "--",
        "python", "tune/run_search.py", "--address", "auto", "--space", "quick", "--data", "demo",
        "--weights", "none", "--image-size", "32", "--num-trials", "2", "--max-epochs", "1",
        "--wandb", "disabled", "--results", str(results),
    ]  # fmt: skip
    process = subprocess.run(
        command, cwd=REPOSITORY, env=local_cluster.env, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    (record,) = results.glob("*/search.json")
    assert json.loads(record.read_text())["status"] == "finished"


def command_lines():
    """Return the arguments of every process that we may look at."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:  # it ended meanwhile
            continue


def test_the_wandb_key_stays_in_the_drivers_environment(search, local_cluster, tmp_path):
    process = search.new(
        "--num-trials", 2, "--max-epochs", 1, "--wandb", "offline",
        "--storage", tmp_path / "storage", env={"WANDB_API_KEY": SECRET},
    )  # fmt: skip
    seen = 0
    while process.poll() is None:
        seen += sum(SECRET.encode() in line for line in command_lines())
        time.sleep(0.5)
    assert search.wait(process) == 0, search.log.read_text()
    assert seen == 0
    jobs = subprocess.run(
        [sys.executable, "-c", JOBS, f"http://127.0.0.1:{local_cluster.dashboard_port}"],
        env=local_cluster.env, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "py_modules" in jobs.stdout
    assert SECRET not in jobs.stdout
    for folder in (search.results, tmp_path, local_cluster.folder):
        found = [
            path
            for path in folder.rglob("*")
            if path.is_file() and os.access(path, os.R_OK) and SECRET.encode() in path.read_bytes()
        ]
        assert found == []


#: What Ray knows of jobs, as its dashboard shows it.
JOBS = """
import sys
from ray.job_submission import JobSubmissionClient
print([job.dict() for job in JobSubmissionClient(sys.argv[1]).list_jobs()])
"""
