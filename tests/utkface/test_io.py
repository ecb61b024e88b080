"""A user's mistake is one line; what is written or read is whole, or refused."""

import os
import signal
import subprocess
import sys
import threading
from unittest import mock

import pytest
import torch

from utkface import io
from utkface.io import (
    UserError,
    dump_checkpoint,
    folder_once,
    load_checkpoint,
    parse_checkpoint,
    progress_bar,
    replacing,
    run_command,
    save_checkpoint,
)


@pytest.mark.parametrize(
    ("main", "status", "printed"),
    [
        ({"return_value": None}, 0, ""),
        ({"return_value": 3}, 3, ""),
        ({"side_effect": UserError("no faces; give --data")}, 2, "error: no faces; give --data\n"),
        ({"side_effect": KeyboardInterrupt}, 130, "interrupted\n"),
    ],
)
def test_a_command_exits_with_its_status(main, status, printed, capsys):
    with pytest.raises(SystemExit) as caught:
        run_command(mock.Mock(**main))
    assert caught.value.code == status
    assert capsys.readouterr().err == printed


@pytest.mark.parametrize("error", [ValueError("a bug"), AssertionError("an invariant")])
def test_a_bug_is_not_hidden(error):
    with pytest.raises(type(error), match=str(error)):
        run_command(mock.Mock(side_effect=error))


def test_a_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)


STATE = {
    "epoch": 3,
    "config": {"backbone": "mobilenet_v3_small", "max_lr": 0.003, "pretrained": True},
    "model": {"weight": torch.arange(6.0).reshape(2, 3)},
    "nothing": None,
}


def test_a_state_survives_the_file_and_no_temporary_file_does(tmp_path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, STATE)
    state = load_checkpoint(path)
    assert torch.equal(state["model"].pop("weight"), STATE["model"]["weight"])
    assert state == {**STATE, "model": {}}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, STATE)
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"epoch": 4, "not data": lambda: None})
    assert load_checkpoint(path)["epoch"] == 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name_in_one_line(tmp_path, share: float) -> None:
    path = tmp_path / "half.pt"
    data = dump_checkpoint(STATE)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"half\.pt is damaged") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path) -> None:
    path = tmp_path / "foreign.pt"
    path.write_bytes(b"\xff\xd8\xff\xe0 a photograph")
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint(path)
    for content in ({"weight": torch.zeros(2)}, torch.zeros(2)):
        torch.save(content, path)
        with pytest.raises(UserError, match="no checkpoint of this project"):
            load_checkpoint(path)


def test_code_in_a_file_is_not_run(tmp_path) -> None:
    class Malice:
        def __reduce__(self) -> tuple:
            return (tmp_path.joinpath("ran").mkdir, ())

    torch.save({"epoch": Malice()}, tmp_path / "malice.pt")
    with pytest.raises(UserError):
        load_checkpoint(tmp_path / "malice.pt")
    assert not (tmp_path / "ran").exists()


def test_another_version_is_refused_with_both_numbers(monkeypatch) -> None:
    monkeypatch.setattr(io, "CHECKPOINT_VERSION", 99)
    data = dump_checkpoint(STATE)
    monkeypatch.undo()
    with pytest.raises(UserError, match="version 99, this program reads 1"):
        parse_checkpoint(data, "newer.pt")


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"cannot read the checkpoint .*gone\.pt"):
        load_checkpoint(tmp_path / "gone.pt")


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from utkface.io import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "file"], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with replacing(tmp_path / "file") as temporary:
        temporary.write_bytes(b"whole")
    assert left.exists()  # it might be at work still
    long_ago = left.stat().st_mtime - io.ABANDONED_AFTER_S - 1
    os.utime(left, (long_ago, long_ago))
    with replacing(tmp_path / "file") as temporary:
        temporary.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_made_by_another_meanwhile_is_taken(tmp_path):
    def fill(folder):
        (folder / "a").write_text("mine")
        (tmp_path / "out").mkdir()
        (tmp_path / "out/a").write_text("theirs")

    assert (folder_once(tmp_path / "out", fill) / "a").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_log_is_told_of_slow_progress_and_not_of_quick(monkeypatch, capsys) -> None:
    with progress_bar("Looking", 3) as advance:
        advance(3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(io, "FIRST_LINE_AFTER_S", 0.0)
    monkeypatch.setattr(io, "NEXT_LINE_AFTER_S", 0.001)
    told = ""
    with progress_bar("Looking", 2_000) as advance:
        advance(1_000)
        while "1,000 of 2,000" not in told:
            told += capsys.readouterr().err
    assert set(told.splitlines()) <= {"Looking: 0 of 2,000", "Looking: 1,000 of 2,000"}


def test_results_come_in_order_and_a_caller_that_stops_stops_the_work() -> None:
    done = []

    def work(number: int) -> int:
        done.append(number)
        return number**2

    results = io.map_ahead(work, range(1000), num_workers=3, num_ahead=4)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    results.close()
    assert len(done) < 20
    assert list(io.map_ahead(work, range(7), num_workers=2, num_ahead=100)) == [
        *(0, 1, 4, 9, 16, 25, 36),
    ]


@pytest.mark.parametrize("num_tasks", [0, 1, 32, 101])
def test_many_small_tasks_are_all_done_in_order_by_as_many_threads_as_cores(
    num_tasks: int, monkeypatch
) -> None:
    monkeypatch.setattr(io, "num_cores", lambda: 3)
    found = io.map_files(lambda number: (number, threading.get_ident()), range(num_tasks), "Doing")
    numbers, threads = [], set()
    for number, thread in found:
        numbers.append(number)
        threads.add(thread)
    assert numbers == list(range(num_tasks))
    assert len(threads) <= 3
    assert threading.get_ident() not in threads


def test_a_reader_that_has_seen_enough_is_no_traceback():
    code = "from utkface.io import run_command; run_command(lambda: print('line\\n' * 100_000))"
    command = f'{sys.executable} -c "{code}" | head -1'
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.stdout == "line\n"
    assert result.stderr == ""
