"""Searches that are killed with -9 at random moments, interrupted, resumed, and side by side."""

import random
import signal
import time

import pytest

from tune.records.run_folder import FINISHED, INTERRUPTED, SearchFolder
from tune.study.past_runs import read_study
from tune.study.store import open_study, study_records

NUM_TRIALS, MAX_EPOCHS = 10, 4


@pytest.fixture
def new_search(start_small):
    def new_search_(results, log, *more, num_trials=NUM_TRIALS, max_epochs=MAX_EPOCHS):
        budget = ["--num-trials", num_trials, "--max-epochs", max_epochs]
        return start_small(results, "--space", "quick", "--no-confirm", *budget, *more, log=log)

    return new_search_


def num_journal_lines(results):
    return sum(path.read_bytes().count(b"\n") for path in results.glob("*/study.journal"))


def wait_for_progress(process, results, num_lines):
    """Wait until the study has grown by some lines, or the search has ended."""
    target = num_journal_lines(results) + num_lines
    deadline = time.monotonic() + 180
    while process.poll() is None and num_journal_lines(results) < target:
        assert time.monotonic() < deadline, "the search stands still"
        time.sleep(0.01)


def ended(records):
    return {record.number: record for record in records if record.state != "RUNNING"}


@pytest.mark.slow
def test_kill_9_loses_no_finished_trial_and_repeats_none(tmp_path, start_search, new_search):
    chance = random.Random(20261123)
    results, log = tmp_path / "results", tmp_path / "log.txt"
    process = new_search(results, log)
    known, num_kills, num_lost, num_repeated = {}, 0, 0, 0
    while True:
        wait_for_progress(process, results, chance.randint(12, 40))
        time.sleep(chance.random())
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        num_kills += 1
        folder = SearchFolder.find(results)
        now = ended(study_records(open_study(folder.journal)))
        num_lost += len(known.keys() - now.keys())
        num_repeated += sum(now[number] != known[number] for number in known.keys() & now.keys())
        known = now
        process = start_search("--resume", "--results", results, log=log)
    assert process.returncode == 0, log.read_text()

    folder = SearchFolder.find(results)
    records = study_records(open_study(folder.journal))
    print(f"kills {num_kills}, finished trials lost {num_lost}, repeated {num_repeated}")
    assert num_kills >= 3
    assert num_lost == num_repeated == 0
    assert known.items() <= ended(records).items()
    assert folder.record.status == FINISHED
    assert [record.number for record in records] == list(range(NUM_TRIALS))
    assert {record.state for record in records} <= {"COMPLETE", "PRUNED"}
    for record in records:
        assert [epoch["epoch"] for epoch in record.epochs] == list(range(1, len(record.epochs) + 1))
    assert not list(folder.path.rglob("*.tmp"))


@pytest.mark.slow
def test_a_resumed_trial_ends_as_if_it_had_never_stopped(tmp_path, start_search, new_search):
    """The first point alone: its numbers are those of an uninterrupted run."""
    outcomes = []
    for kill in (False, True):
        results, log = tmp_path / f"results-{kill}", tmp_path / "log.txt"
        process = new_search(results, log, num_trials=1, max_epochs=5)
        if kill:
            while process.poll() is None and not any(
                b"intermediate_value" in path.read_bytes()
                for path in results.glob("*/study.journal")
            ):
                time.sleep(0.01)
            process.kill()
            process.wait()
            process = start_search("--resume", "--results", results, log=log)
        assert process.wait(180) == 0, log.read_text()
        (record,) = study_records(open_study(SearchFolder.find(results).journal))
        outcomes.append([epoch["score"] for epoch in record.epochs])
    assert outcomes[0] == outcomes[1]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_ends_in_order_with_the_best_so_far(
    tmp_path, start_search, new_search, number
):
    results, log = tmp_path / "results", tmp_path / "log.txt"
    process = new_search(results, log)
    while process.poll() is None and "complete after" not in log.read_text():
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(180) == 130, log.read_text()
    folder = SearchFolder.find(results)
    assert folder.record.status == INTERRUPTED
    assert (folder.path / "best.json").exists()
    assert (folder.path / "report.html").exists()
    assert "Traceback" not in log.read_text()

    process = start_search("--resume", "--results", results, log=log)
    assert process.wait(180) == 0, log.read_text()
    assert SearchFolder.find(results).record.status == FINISHED


@pytest.mark.slow
def test_a_search_whose_time_is_up_can_go_on(tmp_path, start_search, new_search):
    results, log = tmp_path / "results", tmp_path / "log.txt"
    process = new_search(results, log, "--time-budget", 6)
    assert process.wait(180) in (0, 1), log.read_text()  # 1: not even one trial came to its end
    folder = SearchFolder.find(results)
    assert folder.record.status == INTERRUPTED
    assert len(ended(study_records(open_study(folder.journal)))) < NUM_TRIALS
    process = start_search("--resume", "--results", results, "--time-budget", 600, log=log)
    assert process.wait(300) == 0, log.read_text()
    assert SearchFolder.find(results).record.status == FINISHED


@pytest.mark.slow
def test_two_searches_at_once_and_a_second_resume_of_one_of_them(
    tmp_path, start_search, start_small
):
    results, logs = tmp_path / "results", [tmp_path / f"log-{i}.txt" for i in range(3)]
    budget = ["--space", "quick", "--num-trials", 999, "--max-epochs", 2, "--concurrency", 1]
    searches = [start_small(results, *budget, log=log) for log in logs[:2]]
    while len(SearchFolder.names(results)) < 2:
        assert all(search.poll() is None for search in searches), logs[0].read_text()
        time.sleep(0.05)

    name = SearchFolder.names(results)[0]
    refused = start_search("--resume", name, "--results", results, log=logs[2])
    assert refused.wait(300) == 2
    begun, line = logs[2].read_text().splitlines()
    assert begun.split() == ["resume", name]
    assert line.startswith(f"error: {name} is in use by process ")
    assert line.split("process ")[1].split(";")[0] in {str(search.pid) for search in searches}

    for name in SearchFolder.names(results):
        journal = SearchFolder(results / name).journal
        while not (journal.is_file() and read_study(journal)):
            assert all(search.poll() is None for search in searches), logs[0].read_text()
            time.sleep(0.1)
    for search in searches:
        search.send_signal(signal.SIGINT)
    for search, log in zip(searches, logs, strict=False):
        assert search.wait(300) == 130, log.read_text()
    for name in SearchFolder.names(results):
        folder = SearchFolder(results / name)
        assert folder.record.status == INTERRUPTED
        assert open_study(folder.journal).trials
