"""Searches that run side by side, and two processes that want the same one."""

import signal
import time

import pytest

from tune.records.run_folder import INTERRUPTED, SearchFolder
from tune.study.past_runs import read_study
from tune.study.store import open_study


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
