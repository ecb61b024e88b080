"""The search command as a user runs it, on demo faces."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter

import pytest
import torch

from tune.options import REPOSITORY
from tune.records.run_folder import SearchFolder
from tune.records.trials import rank_complete
from tune.run_search import main
from tune.spaces.objectives import DEFAULT_OBJECTIVES
from tune.study.store import open_study, study_records
from utkface.backbones import make_features
from utkface.data import load_faces
from utkface.io import UserError

SPACE = '''"""Does dropout help?"""

POINTS = [{"dropout": 0.1}]


def suggest(trial):
    trial.suggest_float("dropout", 0.0, 0.5)
    return {"batch_size": 32, "ema_decay": 0.0}
'''


def run_command(*arguments, **environment):
    """Run ``tune/run_search.py`` as a process of its own; return what became of it."""
    command = [sys.executable, "tune/run_search.py", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A small search that ended, its output, and its space's file."""
    load_faces("demo", 32)  # drawn now, the search has no progress of it to show
    folder = tmp_path_factory.mktemp("search")
    space = folder / "dropout.py"
    space.write_text(SPACE)
    arguments = ["--space", space, "--data", "demo", "--weights", "none", "--results", folder]
    budget = ["--num-trials", 3, "--max-epochs", 2, "--image-size", 32, "--fraction", 0.5]
    # One at a time, as the other core has tests of its own: a second worker imports for seconds.
    quick = ["--concurrency", 1, "--finalists", 1]
    process = run_command(*arguments, *budget, *quick, "--wandb", "offline")
    assert process.returncode == 0, process.stdout + process.stderr
    return SearchFolder.find(folder), process, space


def test_a_search_leaves_a_folder_that_a_person_can_read(shared):
    folder, process, _ = shared
    search = folder.record
    assert (search.status, search.space, search.options.num_trials) == ("finished", "dropout", 3)
    assert search.data.is_demo is True
    assert (folder.path / "space.py").read_text() == SPACE
    with (folder.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    records = study_records(open_study(folder.journal))
    assert records[0].config["dropout"] == 0.1  # the starting point's
    assert all(record.config["epochs"] == 2 for record in records)
    assert [row["state"] for row in rows] == [record.state for record in records]
    assert {record.state for record in records} <= {"COMPLETE", "PRUNED"}
    best = json.loads((folder.path / "best.json").read_text())
    # What was trained again decides: each such trial with two fresh seeds beside its own.
    confirmed = search.confirmation.trials
    assert (best["trial"], best["score"]) == (confirmed[0].trial, confirmed[0].score)
    assert [trial.seeds[-2:] for trial in confirmed] == [[1000, 1001]] * len(confirmed)
    complete = {int(row["number"]) for row in rows if row["state"] == "COMPLETE"}
    assert {trial.trial for trial in confirmed if len(trial.seeds) == 3} <= complete
    assert "confirmed  trial " in process.stdout
    report = (folder.path / "report.html").read_text()
    assert "Does dropout help?" in report
    assert str(folder.path / "report.html") in process.stdout.replace("\n", "")


def test_refused_files_are_listed_and_counted(shared):
    folder, process, _ = shared
    assert "600 faces, 24 of them copies of another" in process.stdout
    assert "0 files refused" in process.stdout
    assert (folder.path / "data" / "rejected.csv").read_text().startswith("file,reason")


def test_everything_made_from_demo_faces_says_so(shared):
    folder, process, _ = shared
    assert "demo faces: these numbers say nothing about real ones" in process.stdout
    assert "DEMO FACES" in (folder.path / "report.html").read_text()


def test_the_screen_stays_calm(shared):
    _, process, _ = shared
    assert len(process.stdout.splitlines()) < 40
    assert process.stderr.count("\n") < 5
    assert "\x1b" not in process.stdout


def test_nothing_temporary_is_left(shared):
    folder, _, _ = shared
    assert not [path for path in folder.path.rglob("*") if path.name.endswith(".tmp")]
    checkpoints = list((folder.path / "checkpoints").glob("trial_*"))
    records = study_records(open_study(folder.journal))
    complete = [record.number for record in records if record.state == "COMPLETE"]
    best = rank_complete(records, DEFAULT_OBJECTIVES)[0].number
    compared = {trial.trial for trial in folder.record.confirmation.trials} & {*complete}
    assert best in compared
    assert {path.name for path in checkpoints} == {f"trial_{n:04d}.pt" for n in compared}
    kept = (folder.path / "checkpoints" / "predictions").iterdir()
    assert sorted(path.name for path in kept) == [f"trial_{n:04d}.npz" for n in complete]


def test_the_space_that_checkpoints_take_is_bounded_and_told(shared):
    folder, process, _ = shared
    sizes = [path.stat().st_size for path in (folder.path / "checkpoints").glob("trial_*")]
    mb, at_most = f"{sum(sizes) / 1e6:.1f} MB", folder.record.concurrency + 2
    assert re.search(
        rf"{len(sizes)} checkpoints?, {mb} \(never more than {at_most}:", process.stdout
    )


def test_wandb_has_a_run_per_trial_and_a_summary(shared):
    folder, process, _ = shared
    ids = [path.stem.rsplit("-", 1)[1] for path in folder.path.glob("wandb/offline-*/*.wandb")]
    assert sorted(ids) == ["000", "001", "002", "summary"]
    assert f"wandb sync {folder.path}/wandb" in process.stdout.replace("\n", "")


def test_tensorboard_has_every_trials_curve(shared):
    folder, _, _ = shared
    for number in range(3):
        files = list((folder.path / "ray" / f"trial_{number:04d}").glob("events.out.tfevents.*"))
        assert any(b"ray/tune/metrics/score" in path.read_bytes() for path in files)


@pytest.mark.slow
def test_a_finished_search_is_extended(shared):
    folder, _, _ = shared
    before = study_records(open_study(folder.journal))
    checkpoint = (folder.path / "best.json").read_text()
    resume = ["--resume", folder.path.name, "--results", folder.path.parent]
    ended = folder.record.ended
    process = run_command(*resume)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "all 3 trials, so nothing is left to do" in process.stdout
    assert "--num-trials" in process.stdout
    assert folder.record.ended == ended
    refused(*resume, "--num-trials", 2, message="3 have ended already; allowed: 3 or more")
    assert study_records(open_study(folder.journal)) == before
    assert (folder.path / "best.json").read_text() == checkpoint

    process = run_command(*resume, "--num-trials", 5)
    assert process.returncode == 0, process.stdout + process.stderr
    after = study_records(open_study(folder.journal))
    assert after[:3] == before
    assert [record.number for record in after] == [0, 1, 2, 3, 4]
    search = folder.record
    assert (search.status, search.options.num_trials) == ("finished", 5)
    with (folder.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["number"]), row["state"]) for row in rows] == [
        (record.number, record.state) for record in after
    ]
    assert "5 trials of 5 asked for" in (folder.path / "report.html").read_text()
    # The trials that had ended keep their W&B runs as they were; the summary's run goes on.
    ids = Counter(path.stem.rsplit("-", 1)[1] for path in folder.path.glob("wandb/off*/*.wandb"))
    assert [ids[name] for name in ("000", "001", "002", "003", "004")] == [1, 1, 1, 1, 1]
    assert ids["summary"] >= 2

    process = run_command(*resume, "--fresh-seeds", 3)
    assert process.returncode == 0, process.stdout + process.stderr
    assert study_records(open_study(folder.journal)) == after
    seeds = [trial.seeds[-3:] for trial in folder.record.confirmation.trials]
    assert seeds == [[1000, 1001, 1002]] * len(seeds)


@pytest.mark.slow
def test_a_search_begins_with_what_an_earlier_one_learned(shared, tmp_path):
    """Under equal conditions its scores are known to the sampler; resumed, the earlier run is gone.

    With more epochs, its best configurations are the first trials.
    """
    folder, _, space = shared
    run = tmp_path / "earlier" / folder.path.name
    shutil.copytree(folder.path, run)
    arguments = ["--space", space, "--data", "demo", "--weights", "none", "--results", tmp_path]
    budget = ["--num-trials", 2, "--image-size", 32, "--fraction", 0.5, "--wandb", "disabled"]
    # Without early stopping, so that it does not hang on the clock whether the starting point,
    # which no later search has to be told, is all that came to its end.
    budget += ["--scheduler", "none"]
    process = run_command(*arguments, *budget, "--max-epochs", 2, "--warm-start", run)
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"warm start {run.name}: " in process.stdout
    new = SearchFolder.find(tmp_path)
    known = new.record.warm_start.known
    assert len(known) >= 2
    assert [r.number for r in study_records(open_study(new.journal))] == [0, 1]
    shutil.rmtree(run.parent)
    process = run_command("--resume", new.path, "--num-trials", 3)
    assert process.returncode == 0, process.stdout + process.stderr
    records = study_records(open_study(new.journal))
    assert [record.number for record in records] == [0, 1, 2]
    assert len((new.path / "trials.csv").read_text().splitlines()) == 4
    assert new.record.warm_start.known == known

    process = run_command(*arguments, *budget, "--max-epochs", 3, "--warm-start", new.path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "epochs: 2 and 3" in process.stdout
    longer = SearchFolder.find(tmp_path)
    first = longer.record.warm_start.points[0].params
    assert study_records(open_study(longer.journal))[0].params == first


def test_a_warm_start_from_nowhere_is_refused_before_anything_starts(tmp_path):
    results = tmp_path / "results"
    refused(
        "--space", "quick", "--data", "demo", "--results", results, "--warm-start", "nonesuch",
        message="no search at 'nonesuch'",
    )  # fmt: skip
    assert not results.exists()


def test_comparing_goes_with_nothing_else(tmp_path):
    refused("--compare", "a", "b", "--space", "quick", message="--compare RUN RUN goes with")
    refused("--output", tmp_path / "page.html", message="--compare RUN RUN goes with")


def refused(*arguments, message):
    """Run the command in this process; return the one line of its refusal."""
    with pytest.raises(UserError, match=message) as caught:
        main([str(argument) for argument in arguments])
    assert "\n" not in str(caught.value)


def test_bad_data_are_refused_before_anything_is_written(tmp_path):
    empty, corrupt, faceless = (tmp_path / name for name in ("empty", "faces.tar.gz", "texts.zip"))
    empty.mkdir()
    corrupt.write_bytes(b"\x1f\x8b this is no archive")
    with zipfile.ZipFile(faceless, "w") as archive:
        archive.writestr("notes.txt", "no face in here")
    results = tmp_path / "results"
    options = ["--space", "quick", "--weights", "none", "--results", results]
    for source in (tmp_path / "nowhere", empty, corrupt, faceless):
        refused(*options, "--data", source, message=source.name)
        assert not results.exists()


def test_no_data_at_all_says_how_to_get_some(tmp_path, monkeypatch):
    monkeypatch.delenv("UTKFACE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    refused("--space", "quick", "--weights", "none", message="--data demo")


def test_missing_weights_are_told(tmp_path):
    weights = tmp_path / "weights.pth"
    refused("--space", "quick", "--data", "demo", "--weights", weights, message="weights.pth")


def test_a_bad_space_is_told_with_its_file(tmp_path):
    refused("--space", "oversamplin", message="did you mean oversampling")
    bad = tmp_path / "mine.py"
    bad.write_text(SPACE.replace("0.0, 0.5", "0.5, 0.0"))
    refused("--space", bad, "--data", "demo", message=r"mine\.py")
    refused(message="--space is missing")


def test_an_unreachable_cluster_is_told(tmp_path):
    refused(
        "--space", "quick", "--data", "demo", "--image-size", 32, "--weights", "none",
        "--address", "127.0.0.1:9", "--results", tmp_path / "results",
        message="no Ray cluster at --address 127.0.0.1:9",
    )  # fmt: skip
    assert not (tmp_path / "results").exists()


def test_a_run_that_is_not_there_cannot_be_resumed(tmp_path):
    refused("--resume", "nonesuch", "--results", tmp_path, message="nonesuch")
    refused("--resume", "--results", tmp_path, message="no search of yours in")
    refused("--space", "quick", "--resume-anyway", message="--resume-anyway goes with --resume")


def test_resuming_with_other_data_another_space_or_budget_says_what_changed(shared, tmp_path):
    folder, _, space = shared
    run = ["--resume", folder.path]
    refused(*run, "--max-epochs", 5, message="--max-epochs 5 differs from 2")
    weights = tmp_path / "others.pth"
    torch.save(make_features("mobilenet_v3_small").state_dict(), weights)
    refused(*run, "--weights", weights, message="first weights are others .*: none then")
    faces = tmp_path / "faces"
    from utkface.data.demo import write_demo_faces

    write_demo_faces(faces, num_faces=60, seed=1)
    refused(*run, "--data", faces, message="data have changed .* 60 faces")
    try:
        space.write_text(SPACE.replace("0.0, 0.5", "0.0, 0.6"))
        refused(*run, message=r"space has changed .*dropout.*0\.5.*0\.6")
    finally:
        space.write_text(SPACE)


def test_a_search_without_its_journal_is_not_begun_anew(shared, tmp_path):
    summary = tmp_path / "summary"
    summary.mkdir()
    for name in ("search.json", "trials.csv", "best.json", "space.py"):
        (summary / name).write_bytes((shared[0].path / name).read_bytes())
    before = {path.name: path.read_bytes() for path in summary.iterdir()}
    message = r"summary has no study\.journal.*copy the run whole"
    refused("--resume", summary, "--num-trials", 60, message=message)
    after = {path.name: path.read_bytes() for path in summary.iterdir() if path.name != ".lock"}
    assert after == before


@pytest.fixture
def elsewhere(shared):
    """The folder of the small search, as if it had been interrupted on a GPU by other code."""
    folder, _, _ = shared
    record = folder.record
    other = {"status": "interrupted", "gpus_per_trial": 0.5, "commit": "0123456"}
    folder.write_record(record.model_copy(update=other))
    yield folder
    folder.write_record(record)


def test_a_resume_on_another_device_or_of_another_training_is_refused(elsewhere, two_cores):
    message = "ran on a GPU, these would run on a CPU.*--resume-anyway"
    refused("--resume", elsewhere.path, message=message)
    elsewhere.write_record(elsewhere.record.model_copy(update={"training_version": 1}))
    refused("--resume", elsewhere.path, message="training version 1, now 2.*start a new search")


@pytest.mark.slow
def test_a_resume_anyway_tells_what_changed(elsewhere):
    process = run_command("--resume", elsewhere.path, "--resume-anyway")
    assert process.returncode == 0, process.stderr
    assert "changed    commit 0123456 then" in process.stdout


def test_a_refusal_is_one_line_and_status_2():
    process = run_command("--space", "nonesuch")
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
