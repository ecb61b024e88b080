"""What the search command says without searching."""

import re

import pytest

from tune.cluster import Resources
from tune.options.search import SearchOptions
from tune.run_search import main
from tune.search.dry_run import epochs_in_a_row, expected_epochs
from tune.spaces.file import list_spaces
from utkface.io import UserError


def test_spaces_are_listed_with_their_questions(capsys):
    assert main(["--list-spaces"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list_spaces()) >= 7
    assert all("?" in line for line in lines)


def test_a_dry_run_checks_and_explains_and_starts_nothing(two_cores, tmp_path, capsys):
    arguments = ["--space", "oversampling", "--data", "demo", "--image-size", "32"]
    results = tmp_path / "results"
    assert main([*arguments, "--weights", "none", "--results", str(results), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "oversample_balance" in out
    assert "draws per epoch" in out
    assert "minimised: smooth_score" in out
    assert re.search(r"point 2, .*oversample_by=none\n +beyond the space, .*: nothing\n", out)
    assert re.search(r"workers: \d+ trials at a time, 1 CPU, up to [\d.]+ GiB of memory each", out)
    assert re.search(r"time: about .+, .+ if no trial is stopped early", out)
    assert re.search(r"disk: about \d+ MB of checkpoints", out)
    assert not results.exists()


@pytest.mark.slow
def test_a_dry_run_refuses_what_the_search_would_refuse(tmp_path):
    arguments = ["--space", "quick", "--data", "demo", "--image-size", "32", "--weights", "none"]
    arguments += ["--results", str(tmp_path), "--dry-run"]
    with pytest.raises(UserError, match="asks for more than the"):
        main([*arguments, "--gpus-per-trial", "99"])


@pytest.mark.parametrize(
    ("scheduler", "grace", "expected"),
    [
        ("none", None, 9 * 12),
        ("asha", 3, 9 * 3 + 3 * 6 + 1 * 3),  # rungs 3 and 9: a third goes on from each
    ],
)
def test_epochs_are_those_of_the_trials_that_each_rung_lets_pass(scheduler, grace, expected):
    options = SearchOptions(
        space="quick", num_trials=9, max_epochs=12, scheduler=scheduler, grace=grace
    )
    assert expected_epochs(options) == expected


def test_a_dry_run_of_a_resume_is_refused():
    with pytest.raises(UserError, match="--dry-run is of a new search"):
        main(["--resume", "--dry-run"])


@pytest.mark.parametrize(("num_workers", "in_a_row"), [(1, 80), (4, 20), (64, 8)])
def test_epochs_in_a_row_are_shared_by_workers_that_have_a_trial(num_workers, in_a_row):
    resources = Resources(1, 0, num_workers)
    assert epochs_in_a_row(80, 10, 8, resources) == in_a_row
    assert epochs_in_a_row(0, 0, 8, resources) == 0
