"""``ray job submit`` against a running head."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.slow


def test_a_submitted_job_searches_on_the_cluster(local_cluster, tmp_path):
    results = tmp_path / "results"
    command = [
        str(Path(sys.executable).with_name("ray")), "job", "submit",
        "--address", f"http://127.0.0.1:{local_cluster.dashboard_port}",
        "--runtime-env", "tune/cluster/job.yaml", "--",
        "python", "tune/run_search.py", "--address", "auto", "--space", "quick", "--data", "demo",
        "--weights", "none",
        "--no-confirm", "--image-size", "32", "--num-trials", "2", "--max-epochs", "1",
        "--wandb", "disabled", "--results", str(results),
    ]  # fmt: skip
    process = subprocess.run(
        command, cwd=REPOSITORY, env=local_cluster.env, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    (record,) = results.glob("*/search.json")
    assert json.loads(record.read_text())["status"] == "finished"
