import os
import random
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search_spaces import load_space
from tune.study import SearchStudy
from utkface.io import UserError

FIXED = {"epochs": 3, "image_size": 32, "seed": 0}


@pytest.fixture
def reopen(tmp_path):
    space = load_space("quick", fixed=FIXED)
    return lambda: SearchStudy(tmp_path / "study.journal", space, FIXED)


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "study.journal"


@pytest.fixture
def copy(tmp_path):
    return tmp_path / "backup" / "study.journal"


def run(study, score=1.0):
    """Run the next trial until it ends."""
    number = study.next_trial().number
    for epoch in range(1, FIXED["epochs"] + 1):
        if study.report(number, {"epoch": epoch, "score": score}) != TrialState.RUNNING:
            break


@contextmanager
def disk_full(path, num_bytes_left):
    """Let no file grow beyond this one's size and so many bytes: writes stop in mid-line."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + num_bytes_left, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_torn_last_line_and_a_dead_writers_locks_are_mended(reopen, journal, copy):
    run(reopen())
    whole = journal.read_bytes()
    last_line = whole.splitlines(keepends=True)[-1]
    for length in range(len(last_line)):
        copy.unlink()
        journal.write_bytes(whole[: -len(last_line)] + last_line[:length])
        for name in (".lock", ".lock0f.rename"):
            Path(f"{journal}{name}").symlink_to(journal)
        study = reopen()
        assert [record.number for record in study.records()] == [0]
        run(study, 0.5)
        assert {record.state for record in reopen().records()} <= {"COMPLETE", "RUNNING"}
        assert sorted(p.name for p in journal.parent.iterdir()) == ["backup", "study.journal"]


def test_either_file_cut_short_anywhere_loses_nothing(reopen, journal, copy):
    chance = random.Random(0)
    for _ in range(3):
        run(reopen(), chance.random())
    before = reopen().records()
    for victim in (journal, copy) * 10:
        os.truncate(victim, chance.randrange(journal.stat().st_size))
        assert reopen().records() == before
        assert journal.read_bytes() == copy.read_bytes()
    journal.unlink()
    assert reopen().records() == before


def test_a_run_whose_copy_is_missing_or_behind_goes_on(reopen, journal, copy):
    run(reopen())
    shutil.copy(copy, copy.with_name("old"))
    run(reopen(), 0.5)
    before = reopen().records()
    copy.with_name("old").replace(copy)
    assert reopen().records() == before
    shutil.rmtree(copy.parent)
    assert reopen().records() == before
    assert journal.read_bytes() == copy.read_bytes()


def test_a_damaged_line_comes_back_from_the_copy_or_is_told(reopen, journal, copy):
    run(reopen())
    before, whole = reopen().records(), journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    damaged = b"".join([*lines[:4], b'{"op_code": 7, "wo\x00\n', *lines[5:]])
    journal.write_bytes(damaged)
    assert reopen().records() == before
    journal.write_bytes(damaged)
    copy.write_bytes(damaged)
    with pytest.raises(UserError, match=f"line 5 of {len(lines)}") as caught:
        reopen()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("num_bytes_left", [0, 1, 40])
def test_a_full_disk_ends_the_study_with_all_that_was_on_record(reopen, journal, num_bytes_left):
    study = reopen()
    run(study)
    number = study.next_trial().number
    study.report(number, {"epoch": 1, "score": 0.5})
    before = study.records()
    with (
        disk_full(journal, num_bytes_left),
        pytest.raises(UserError, match=r"study\.journal: File too large"),
    ):
        study.report(number, {"epoch": 2, "score": 0.4})
    # The space is back, but half a line may be on the disk: nothing may be added to that.
    with pytest.raises(UserError, match=f"--resume {journal.parent.name}"):
        study.next_trial()

    again = reopen()
    assert again.records() == before
    assert again.next_trial().number == number
    assert again.report(number, {"epoch": 2, "score": 0.4}) == TrialState.RUNNING
    assert again.report(number, {"epoch": 3, "score": 0.3}) == TrialState.COMPLETE
