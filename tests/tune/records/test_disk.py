"""A disk that fills up while a search runs, and the space that its checkpoints take."""

import contextlib
import errno
import subprocess
import time

import pytest

from tune.records.files import told_in_one_line
from tune.records.run_folder import FINISHED, SearchFolder
from tune.study.store import open_study, study_records
from utkface.io import UserError


def test_what_stands_behind_an_exception_of_rays_is_told(tmp_path):
    def wrapped(cause):
        try:
            raise cause
        except Exception:
            raise RuntimeError("Traceback ... and so on") from None

    with pytest.raises(UserError, match="mine"), told_in_one_line(tmp_path):
        wrapped(UserError("mine"))
    full = OSError(errno.ENOSPC, "No space left on device", "ray/state.json")
    with (
        pytest.raises(UserError, match=rf"ray/state\.json: No space .*--resume {tmp_path.name}"),
        told_in_one_line(tmp_path),
    ):
        wrapped(full)
    with pytest.raises(RuntimeError), told_in_one_line(tmp_path):
        wrapped(FileNotFoundError(errno.ENOENT, "a mistake of the program's"))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own with room for a small search."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk (root)")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk):
    """Take what space there is; return the file that holds it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return filler


def told(log):
    """Return the one line of an error at the end of a log."""
    text = log.read_text()
    assert "Traceback" not in text
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, text
    return errors[0]


@pytest.mark.slow
def test_a_full_disk_ends_a_search_in_one_line_and_it_goes_on_when_there_is_space(
    small_disk, tmp_path, start_search, start_small
):
    results, log = small_disk / "results", tmp_path / "log.txt"
    budget = ["--no-confirm", "--num-trials", 4, "--max-epochs", 3]
    process = start_small(results, "--space", "quick", *budget, log=log)
    while process.poll() is None and " after " not in log.read_text():  # one trial has ended
        time.sleep(0.05)
    filler = fill(small_disk)
    assert process.wait(120) == 2
    assert "No space left on device" in told(log)
    assert "--resume" in told(log)

    resume = ["--resume", "--results", results]
    assert start_search(*resume, log=log).wait(120) == 2  # the disk is still full
    assert "No space left on device" in told(log)
    filler.unlink()
    folder = SearchFolder.find(results)
    before = study_records(open_study(folder.journal))
    assert start_search(*resume, log=log).wait(180) == 0, log.read_text()
    after = study_records(open_study(folder.journal))
    assert folder.record.status == FINISHED
    assert {record.state for record in after} <= {"COMPLETE", "PRUNED"}  # no trial was to blame
    assert [r for r in before if r.state != "RUNNING"] == [
        after[record.number] for record in before if record.state != "RUNNING"
    ]
    assert not [path for path in folder.path.rglob("*") if path.name.endswith(".tmp")]
