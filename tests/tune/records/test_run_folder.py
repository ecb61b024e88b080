import json
import multiprocessing
from pathlib import Path

import pytest

from tune.records.run_folder import SearchFolder, retrain_command
from tune.records.trials import TrialRecord
from utkface.io import UserError


def record(number, state, score):
    return TrialRecord(
        number=number, state=state, score=score, params={"dropout": 0.1 * number},
        config={"dropout": 0.1 * number, "epochs": 2}, epochs=[{"epoch": 1, "score": score}],
    )  # fmt: skip


def test_two_searches_of_one_second_get_a_folder_each(tmp_path):
    folders = {SearchFolder.create(tmp_path, "loss").path for _ in range(5)}
    assert len(folders) == 5
    assert all(path.name.startswith("loss-") for path in folders)


def _create(results, barrier, names):
    barrier.wait(30)
    names.put(SearchFolder.create(results, "loss").path.name)


def test_processes_that_start_at_once_get_a_folder_each(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, names = context.Barrier(6), context.Queue()
    arguments = (tmp_path / "results", barrier, names)
    processes = [context.Process(target=_create, args=arguments) for _ in range(6)]
    for process in processes:
        process.start()
    assert len({names.get(timeout=30) for _ in processes}) == 6
    for process in processes:
        process.join()


def test_runs_are_found_by_path_name_or_age(tmp_path, search_record):
    old, new = SearchFolder.create(tmp_path, "loss"), SearchFolder.create(tmp_path, "baseline")
    old.write_record(search_record(created="2026-01-01T00:00:00"))
    new.write_record(search_record(created="2026-01-02T00:00:00"))
    example = SearchFolder.create(tmp_path, "example")
    example.write_record(search_record(created="2026-01-03T00:00:00"))
    for own in (old, new):
        own.journal.touch()
    assert SearchFolder.find(tmp_path).path == new.path  # not the one that came with the code
    assert SearchFolder.find(tmp_path, example.path.name).path == example.path
    assert SearchFolder.find(tmp_path, old.path.name).path == old.path
    assert SearchFolder.find(tmp_path / "elsewhere", str(old.path)).path == old.path
    with pytest.raises(UserError, match=new.path.name):
        SearchFolder.find(tmp_path, "nonesuch")
    with pytest.raises(UserError, match="--space"):
        SearchFolder.find(tmp_path / "elsewhere")


def test_only_complete_trials_can_be_best(tmp_path):
    folder = SearchFolder.create(tmp_path, "loss")
    folder.write_tables([record(0, "PRUNED", 0.1), record(1, "FAIL", None)])
    assert not (folder.path / "best.json").exists()
    records = [
        record(0, "PRUNED", 0.1),
        record(1, "COMPLETE", 0.9),
        record(2, "COMPLETE", 0.8),
        record(3, "RUNNING", 0.2),
    ]
    folder.write_tables(records)
    best = json.loads((folder.path / "best.json").read_text())
    assert (best["trial"], best["score"]) == (2, 0.8)
    assert [finalist["trial"] for finalist in best["finalists"]] == [2, 1]
    rows = (folder.path / "trials.csv").read_text().splitlines()
    assert len(rows) == 1 + len(records)


def test_a_file_is_whole_or_the_old_one(tmp_path, search_record, monkeypatch):
    folder = SearchFolder.create(tmp_path, "loss")
    folder.write_record(search_record(created="then"))

    def full_disk(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(UserError, match="No space left"):
        folder.write_record(search_record(created="now"))
    assert folder.record.created == "then"
    assert sorted(path.name for path in folder.path.iterdir()) == ["backup", "search.json"]
    assert [path.name for path in (folder.path / "backup").iterdir()] == ["search.json"]


def test_a_damaged_record_comes_back_from_its_copy(tmp_path, search_record):
    folder = SearchFolder.create(tmp_path, "loss")
    folder.write_record(search_record(created="then", seed=3))
    record = folder.path / "search.json"
    for content in ("", record.read_text()[:9]):
        record.write_text(content)
        assert folder.record.options.seed == 3
    record = (folder.path / "search.json").read_text()
    (folder.path / "search.json").write_text(record.replace('"space"', '"spbce"'))
    assert folder.record.options.seed == 3  # also where what is damaged is still JSON
    (folder.path / "backup" / "search.json").write_text("{")
    with pytest.raises(UserError, match=r"search\.json cannot be read"):
        assert folder.record


def test_results_that_cannot_be_written_are_told(tmp_path):
    file = tmp_path / "results"
    file.write_text("in the way")
    for results in (file, file / "below"):
        with pytest.raises(UserError, match="--results"):
            SearchFolder.create(results, "loss")


def _hold(path, ready, done):
    with SearchFolder(path).lock():
        ready.set()
        done.wait(30)


def test_a_run_is_one_process_at_a_time(tmp_path):
    folder = SearchFolder.create(tmp_path, "loss")
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(folder.path, ready, done))
    other.start()
    assert ready.wait(30)
    with pytest.raises(UserError, match=f"process {other.pid}"), folder.lock():
        pass
    half_written = [
        folder.path / ".search.json.x1y2.tmp", folder.path / "data" / ".split.json.x1y2.tmp"
    ]  # fmt: skip
    for left in half_written:
        left.mkdir(parents=True)
    other.kill()  # the lock goes with the process
    other.join()
    with folder.lock():
        assert not any(left.exists() for left in half_written)


def test_the_command_that_retrains_a_search_can_be_typed():
    command = retrain_command(Path("results/loss 1"))
    assert command.endswith("python tune/retrain_best.py --search 'results/loss 1'")


def test_a_damaged_neighbour_is_left_out_of_ones_own_runs(tmp_path, search_record, capsys):
    whole, damaged = (SearchFolder.create(tmp_path, name) for name in ("loss", "scratch"))
    whole.write_record(search_record())
    (damaged.path / "search.json").write_text('{"name": "scratch')
    for folder in (whole, damaged):
        folder.journal.touch()
    assert SearchFolder.find(tmp_path).path == whole.path
    assert f"note: {damaged.path.name} is left out: " in capsys.readouterr().err


def test_a_run_whose_journal_is_lost_is_ones_own_while_its_second_copy_is_there(
    tmp_path, search_record
):
    folder = SearchFolder.create(tmp_path, "loss")
    folder.write_record(search_record())
    with pytest.raises(UserError, match="no search of yours"):
        SearchFolder.find(tmp_path)
    (folder.path / "backup" / folder.journal.name).touch()
    assert SearchFolder.find(tmp_path).path == folder.path


def test_a_run_that_may_not_be_written_to_is_told(tmp_path):
    folder = SearchFolder.create(tmp_path, "loss")
    (folder.path / ".lock").mkdir()  # as good as a folder of somebody else's, also for root
    with pytest.raises(UserError, match=f"cannot write {folder.path}: "), folder.lock():
        pass
