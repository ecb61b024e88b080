import json
import os
import random
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from tune.spaces.space import load_space
from tune.study.journal import read_storage
from tune.study.store import open_study
from tune.study.study import SearchStudy
from utkface.io import UserError

RESULTS = Path(__file__).resolve().parents[3] / "results"
FIXED = {"epochs": 3, "image_size": 32, "seed": 0}


def measured(epoch, score):
    return {"epoch": epoch, "score": score, "smooth_score": score}


@pytest.fixture(scope="module")
def space():
    return load_space("quick", fixed=FIXED)


@pytest.fixture
def reopen(journal, space):
    return lambda: SearchStudy(journal, space, FIXED)


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
        if study.report(number, measured(epoch, score)) != TrialState.RUNNING:
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
    for length in [*range(0, len(last_line), 9), len(last_line) - 1]:
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
    shutil.rmtree(copy.parent)
    assert reopen().records() == before
    assert journal.read_bytes() == copy.read_bytes()


def test_flipped_digits_in_different_lines_of_both_files_are_mended(reopen, journal, copy):
    run(reopen())
    before, whole = reopen().records(), journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    numbers = [n for n, line in enumerate(lines) if b'"score":1.0' in line]
    for file, number in ((journal, numbers[0]), (copy, numbers[1])):
        wrong = lines[number].replace(b'"score":1.0', b'"score":0.1')
        file.write_bytes(b"".join([*lines[:number], wrong, *lines[number + 1 :]]))
    assert reopen().records() == before
    assert journal.read_bytes().startswith(whole)
    assert copy.read_bytes() == journal.read_bytes()


def test_a_line_damaged_in_both_files_is_told_and_both_stay(reopen, journal, copy):
    run(reopen())
    lines = journal.read_bytes().splitlines(keepends=True)
    for file, damage in ((journal, (b'"op_code"', b'"op_kode"')), (copy, (b"}\n", b"]\n"))):
        file.write_bytes(b"".join([*lines[:4], lines[4].replace(*damage), *lines[5:]]))
    before = journal.read_bytes(), copy.read_bytes()
    for opened in (reopen, lambda: read_storage(journal)):
        with pytest.raises(UserError, match=f"line 5 of {len(lines)}") as caught:
            opened()
        assert "\n" not in str(caught.value)
    assert (journal.read_bytes(), copy.read_bytes()) == before


def test_a_damaged_last_line_is_not_taken_for_optuna_dashboards(reopen, journal, copy):
    run(reopen())
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = lines[-1].replace(b'"checksum"', b'"chekksum"').replace(b'"state":1', b'"state":3')
    journal.write_bytes(b"".join([*lines[:-1], damaged]))
    copy.write_bytes(b"".join(lines[:-1]))  # the writer was killed between the two files
    with pytest.raises(UserError, match=f"line {len(lines)} of {len(lines)}"):
        reopen()


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:9] + lines[8:],  # a line twice
        lambda lines: lines + lines[-7:],  # the end twice
        lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
        lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
        lambda lines: [*lines[:5], b"\0" * 4096 + b"\n", *lines[5:]],
        lambda lines: [],
    ],
)  # fmt: skip
def test_a_file_with_its_lines_in_disorder_is_put_in_order(reopen, journal, copy, damage):
    run(reopen())
    before, whole = reopen().records(), journal.read_bytes()
    for files in ([journal], [copy], [journal, copy]):
        content = b"".join(damage(whole.splitlines(keepends=True)))
        if not content and len(files) == 2:
            continue
        for file in files:
            file.write_bytes(content)
        assert reopen().records() == before
        assert journal.read_bytes().startswith(whole)


def test_the_copy_of_another_study_is_refused(reopen, journal, copy):
    run(reopen())
    mine = journal.read_bytes()
    journal.unlink()
    copy.unlink()
    run(reopen())
    copy.write_bytes(mine)
    with pytest.raises(UserError, match="or of another study; delete the wrong file"):
        reopen()
    copy.unlink()
    assert len(reopen().records()) == 1


def add_note(journal, note):
    """Append a line as optuna-dashboard does."""
    JournalStorage(JournalFileBackend(str(journal))).set_study_user_attr(0, "note", note)


def test_lines_of_optuna_dashboard_are_kept_and_vouched_for(reopen, journal, copy):
    study = reopen()
    add_note(journal, "first")
    run(study)
    assert copy.read_bytes() == journal.read_bytes()
    add_note(journal, "second")
    assert reopen().study.user_attrs == {"note": "second"}  # the last, and nothing vouches for it
    assert copy.read_bytes() == journal.read_bytes()
    run(study := reopen(), 0.5)
    before, whole = study.records(), journal.read_bytes()
    for file, wrong in ((copy, b"fierce"), (journal, b"secret")):
        file.write_bytes(whole.replace(b"first", wrong).replace(b"second", wrong))
        assert reopen().records() == before
        assert journal.read_bytes().startswith(whole)
    add_note(journal, "third")
    journal.write_bytes(journal.read_bytes()[:-9])
    run(reopen(), 0.25)  # half a note is cut off
    assert [record.number for record in reopen().records()] == [0, 1, 2]


def test_a_search_that_is_opened_twice_against_the_rules_loses_nothing(reopen, journal):
    study = reopen()
    run(study)
    for _ in range(2):
        open_study(journal)  # begins by noting what the study is called
        run(study)
    assert study.records() == reopen().records()
    assert [record.number for record in study.records()] == [0, 1, 2]


def test_half_a_line_of_a_killed_dashboard_is_cut_off_while_the_search_runs(reopen, journal):
    study = reopen()
    with journal.open("ab") as file:
        file.write(b'{"op_code":2,"worker_id":"')
    run(study)
    assert study.records() == reopen().records() != []


def test_optuna_reads_the_journal_by_itself(reopen, journal):
    study = reopen()
    run(study)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    assert storage.get_all_trials(0) == study.study.get_trials()
    assert read_storage(journal).get_all_trials(0) == study.study.get_trials()


@pytest.mark.parametrize(
    "run_name", ["oversampling-20261123-204916", "oversampling-20261123-213552"]
)
def test_a_journal_without_checksums_opens_and_gets_them(journal, copy, run_name):
    old = (RESULTS / run_name / "backup" / "study.journal").read_bytes()
    journal.write_bytes(old)
    trials = JournalStorage(JournalFileBackend(str(journal))).get_all_trials(0)
    assert trials
    assert open_study(journal).get_trials() == trials
    assert journal.read_bytes().startswith(old)
    copy.write_bytes(copy.read_bytes().replace(b'"age_mae":5', b'"age_mae":4'))
    assert copy.read_bytes() != journal.read_bytes()
    assert open_study(journal).get_trials() == trials


def test_without_checksums_two_versions_of_a_line_are_refused(journal, copy):
    old = b"".join(
        json.dumps(line).encode() + b"\n"
        for line in (
            {"op_code": 0, "worker_id": "w", "study_name": "search", "directions": [1]},
            {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"note": 1}},
        )
    )
    copy.parent.mkdir()
    journal.write_bytes(old)
    copy.write_bytes(old.replace(b'"note": 1', b'"note": 7'))
    with pytest.raises(UserError, match="line 2 of 2"):
        open_study(journal)
    for file in (journal, copy):
        file.write_bytes(old.replace(b'"op_code": 2', b'"op_code": 99'))
    with pytest.raises(UserError, match="Optuna cannot replay it"):
        open_study(journal)


@pytest.mark.parametrize("num_bytes_left", [0, 1, 40])
def test_a_full_disk_ends_the_study_with_all_that_was_on_record(reopen, journal, num_bytes_left):
    study = reopen()
    run(study)
    number = study.next_trial().number
    study.report(number, measured(1, 0.5))
    before = study.records()
    with (
        disk_full(journal, num_bytes_left),
        pytest.raises(UserError, match=r"study\.journal: File too large"),
    ):
        study.report(number, measured(2, 0.4))
    # The space is back, but half a line may be on the disk: nothing may be added to that.
    with pytest.raises(UserError, match=f"--resume {journal.parent.name}"):
        study.next_trial()

    again = reopen()
    assert again.records() == before
    assert again.next_trial().number == number
    assert again.report(number, measured(2, 0.4)) == TrialState.RUNNING
    assert again.report(number, measured(3, 0.3)) == TrialState.COMPLETE


def test_what_a_trial_is_told_and_reports_is_flushed_once_and_before_it_is_acted_on(
    reopen, journal, monkeypatch
):
    study, flushed = reopen(), []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(journal.read_bytes()))
    calls = [study.next_trial, *(lambda e=e: study.report(0, measured(e, 1.0)) for e in (1, 2, 3))]
    for call in [*calls, study.next_trial, lambda: study.fail(1, "no memory")]:
        flushed.clear()
        call()
        assert flushed == [journal.read_bytes()]
    assert [record.state for record in reopen().records()] == ["COMPLETE", "FAIL"]


def test_after_a_flush_that_failed_nothing_more_is_written(reopen, journal, monkeypatch):
    study = reopen()
    number = study.next_trial().number

    def fails(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(UserError, match="Input/output error"):
        study.report(number, measured(1, 1.0))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    before = journal.read_bytes()
    with pytest.raises(UserError, match="Input/output error"):
        study.report(number, measured(2, 1.0))
    assert journal.read_bytes() == before
    assert len(reopen().records()[0].epochs) == 1  # it reached the file, if not surely the disk
