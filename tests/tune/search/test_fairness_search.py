"""A search of several objectives as a user runs it: killed, resumed, and read at its end."""

import json
import time

import pytest

from tune.options.retrain import RetrainOptions
from tune.records.run_folder import FINISHED, SearchFolder
from tune.records.trials import pareto_front
from tune.retrain.finalists import find_finalists, find_search
from tune.study.store import open_study, study_records

OBJECTIVES = ("age_mae", "gender_error", "worst_group_mae")
TIMEOUT_S = 400


@pytest.mark.slow
def test_fairness_ends_with_a_front_in_its_report_and_on_the_screen(
    tmp_path, start_search, start_small
):
    results, log = tmp_path / "results", tmp_path / "log.txt"
    budget = ["--fraction", 0.5, "--num-trials", 8, "--max-epochs", 2]
    process = start_small(results, "--space", "fairness", *budget, log=log)
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None and "complete after" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    process.kill()
    process.wait()
    process = start_search("--resume", "--results", results, log=log)
    assert process.wait(TIMEOUT_S) == 0, log.read_text()

    folder = SearchFolder.find(results)
    assert folder.record.status == FINISHED
    assert tuple(folder.record.options.objectives) == OBJECTIVES
    records = study_records(open_study(folder.journal))
    assert [record.number for record in records] == list(range(8))
    assert {record.state for record in records} <= {"COMPLETE", "PRUNED"}

    front = pareto_front(records, OBJECTIVES)
    best = json.loads((folder.path / "best.json").read_text())
    confirmed = [trial.trial for trial in folder.record.confirmation.trials]
    finalists = [entry["trial"] for entry in best["finalists"]]
    # What was trained again comes first: three of the front and the best starting point.
    assert finalists[: len(confirmed)] == confirmed
    assert set(confirmed) >= {record.number for record in front[:3]}
    assert set(finalists) == {record.number for record in front} | set(confirmed)
    assert best["order"] == "the Pareto front of age_mae, gender_error, worst_group_mae, by score"
    report = (folder.path / "report.html").read_text()
    assert "The Pareto front" in report
    assert "complete trials by age_mae and worst_group_mae, and the front" in report
    assert f"trial {front[0].number}: age_mae" in log.read_text()

    options = RetrainOptions(results=results, top_k=len(finalists))
    retrained = find_finalists(options, find_search(options))
    assert [finalist.label for finalist in retrained] == [f"trial {n}" for n in finalists]
