import math
from argparse import Namespace
from pathlib import Path

import pytest

from tune.options.search import SearchOptions, build_parser
from utkface.io import UserError

WORDS = ("the search", "a new search")
RESULTS = Path("/runs")  # where the run lies


def test_every_option_of_the_parser_is_an_option_of_the_search():
    actions = {action.dest for action in build_parser()._actions}
    fields = set(SearchOptions.__dataclass_fields__)
    assert (
        actions
        - {
            *(
                "help",
                "list_spaces",
                "list_parameters",
                "resume",
                "resume_anyway",
                "dry_run",
                "compare",
                "output",
            )
        }
        == fields
    )


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"num_trials": 0}, "--num-trials 0"),
        ({"fraction": 0.0}, "--fraction 0.0"),
        ({"fraction": 1.5}, "--fraction 1.5"),
        ({"grace": 0}, "--grace 0"),
        ({"grace": 8, "max_epochs": 8}, "--grace 8"),
        ({"reduction_factor": 1}, "--reduction-factor 1"),
        ({"concurrency": 0}, "--concurrency 0"),
        ({"time_budget": 0.0}, "--time-budget 0.0"),
        ({"time_budget": math.nan}, "--time-budget nan"),
        ({"cpus_per_trial": 0.0}, "--cpus-per-trial 0.0"),
        ({"gpus_per_trial": -1.0}, "--gpus-per-trial -1.0"),
    ],
)
def test_impossible_values_are_told_with_what_is_allowed(change, flag):
    with pytest.raises(UserError, match=f"{flag} .*allowed"):
        SearchOptions(space="loss", **change)


def test_the_first_judgement_comes_after_a_quarter_of_the_budget_unless_told():
    for max_epochs, grace in [(1, 1), (2, 1), (4, 2), (8, 3), (12, 4), (30, 11)]:
        assert SearchOptions(space="loss", max_epochs=max_epochs).grace_epochs == grace
    assert SearchOptions(space="loss", max_epochs=30, grace=2).grace_epochs == 2


def test_a_resumed_search_keeps_what_makes_its_trials_comparable():
    options = SearchOptions(space="loss", max_epochs=8, num_trials=5)
    longer = options.resumed_with(Namespace(num_trials=9, max_epochs=8), RESULTS, *WORDS)
    assert (longer.num_trials, longer.max_epochs) == (9, 8)
    with pytest.raises(UserError, match="--max-epochs 9 differs from 8"):
        options.resumed_with(Namespace(max_epochs=9), RESULTS, *WORDS)


def test_a_storage_is_the_same_place_from_every_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    parse = build_parser().parse_args
    assert parse(["--storage", "shared"]).storage == str(tmp_path / "shared")
    assert parse(["--storage", "s3://bucket/x"]).storage == "s3://bucket/x"


def test_gpus_are_a_number_or_left_to_the_machine():
    parse = build_parser().parse_args
    assert parse(["--gpus-per-trial", "auto"]).gpus_per_trial is None
    assert parse(["--gpus-per-trial", "0.25"]).gpus_per_trial == 0.25
    with pytest.raises(SystemExit):
        parse(["--gpus-per-trial", "half"])


def test_a_resumed_search_can_take_back_what_it_was_told():
    parse = build_parser().parse_args
    began = SearchOptions(space="loss", **vars(parse(["--no-confirm", "--address", "auto"])))
    assert (began.confirm, began.address) == (False, "auto")
    resumed = began.resumed_with(parse(["--confirm", "--address", "local"]), RESULTS, *WORDS)
    assert (resumed.confirm, resumed.address) == (True, None)
    assert resumed.results == RESULTS


def test_a_rule_that_is_gone_is_told_in_one_line():
    of_old = SearchOptions(space="loss", scheduler="median")
    with pytest.raises(UserError, match="has --scheduler median, which this version has not: only"):
        of_old.resumed_with(Namespace(), RESULTS, *WORDS)


def test_a_space_of_ones_own_is_the_same_file_from_every_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()
    parse = build_parser().parse_args
    assert parse(["--space", "mine.py"]).space == str(tmp_path / "mine.py")
    assert parse(["--space", "loss"]).space == "loss"
