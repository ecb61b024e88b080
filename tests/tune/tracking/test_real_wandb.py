"""W&B itself, offline: what it writes can be read back, and sent by the command that is printed."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from tune.options import REPOSITORY
from tune.records.run_folder import sync_command

KEY = "k9" * 20
_REAL = """
import sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from tune.execution.reporting import RunStart
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.tracking.wandb_logger import WandbLogger, resolve_mode

epochs_done = int(sys.argv[1])
print(resolve_mode(None)[0])
# It may say that it waits for W&B, on a busy machine.
logger = WandbLogger("offline", Path("run"), say=lambda line: None)
record = SearchRecord.parse({search!r}, "search.json")
logger.search_started(RunStart(record, Path("run")))
for number in (0, 1):
    logger.trial_started(number, {{"dropout": 0.1}}, epochs_done)
for epoch in (epochs_done + 1, epochs_done + 2):
    for number in (0, 1):
        logger.epoch_finished(number, {{"epoch": epoch, "score": epoch + number}})
records = [
    TrialRecord(number=number, state=state if epochs_done else "RUNNING", score=1.0, params={{}},
        config={{}}, epochs=[{{"epoch": 4, "score": 1.0}}])
    for number, state in enumerate(("COMPLETE", "PRUNED"))
]
if epochs_done:
    for record in records:
        logger.trial_ended(record)
report = Path("report.html")
report.write_text("<p>the report")
logger.search_ended(records, report)
"""


@pytest.mark.slow
def test_real_wandb_writes_offline_runs_that_it_can_read_back(tmp_path, changed_search):
    """Two concurrent runs of one process, interrupted and continued by a second process."""
    (tmp_path / "run").mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    search = changed_search(rungs=[4], num_trials=2)
    sessions = ("0", "interrupted", {}), ("2", "finished", {"WANDB_API_KEY": KEY})
    for epochs_done, status, extra in sessions:
        code = _REAL.format(repository=str(REPOSITORY), search={**search, "status": status})
        script = [sys.executable, "-c", code, epochs_done]
        done = subprocess.run(
            script, cwd=tmp_path, env=environment | extra, capture_output=True, text=True
        )
        # Nothing but the mode is printed: wandb's own messages are silenced.
        assert (done.stdout, done.stderr) == ("online\n" if extra else "offline\n", "")
    folders = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    runs = [_read_back(folder, environment) for folder in folders]
    trials = [run for run in runs if not run["run_id"].endswith("summary")]
    ids = [run["run_id"] for run in trials]
    assert len(set(ids)) == 2
    assert ids[:2] == ids[2:]
    assert [run["step"] for run in trials] == [2, 2, 4, 4]
    assert [run["summary"]["score"] for run in trials[:2]] == [2, 3]
    assert [run["summary"]["state"] for run in trials[2:]] == ["COMPLETE", "PRUNED"]
    assert [run["tags"] for run in trials] == [[], [], ["complete"], ["stopped at rung 4"]]
    assert trials[0]["config"] == {"dropout": 0.1, "trial": 0}
    first, second = (run for run in runs if run["run_id"].endswith("summary"))
    assert first["run_id"] == second["run_id"]
    assert [run["tags"] for run in (first, second)] == [["unfinished"], ["finished"]]
    assert second["summary"]["best_score"] == 1
    assert second["summary"]["trials"]["nrows"] == 2
    _check_copies(tmp_path)
    _check_command(tmp_path, folders, environment)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def _read_back(folder, environment):
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    return json.loads(subprocess.check_output(command, env=environment))


def _check_copies(home):
    """What is to be sent lies in the run folder, and nothing of it in the user's home."""
    copies = (home / "run" / "wandb" / "artifacts" / "staging").iterdir()
    assert b"<p>the report" in [path.read_bytes() for path in copies]
    assert not (home / ".local" / "share" / "wandb").exists()


def _check_command(home, folders, environment):
    """The command that is printed finds every run, each once."""
    command = [sys.executable, "-m", *shlex.split(sync_command(home / "run")), "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"Would sync {len(folders)} run(s)" in done.stderr + done.stdout
