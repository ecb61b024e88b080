import math
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tune.options import REPOSITORY, check_paths, retrain, search
from tune.options.retrain import RetrainOptions
from tune.options.search import SearchOptions
from utkface.io import UserError

WORDS = ("the search", "a new search")
RESULTS = Path("/runs")  # where the run lies
ACTIONS = {"list_spaces", "list_parameters", "resume_anyway", "dry_run", "compare", "output"}


def parse(*arguments):
    return search.build_parser().parse_args(arguments)


@pytest.mark.parametrize(
    ("command", "options", "more"),
    [(search, SearchOptions, ACTIONS), (retrain, RetrainOptions, set())],
)
def test_the_parser_has_every_option_and_says_nothing_of_what_is_not_given(command, options, more):
    actions = {action.dest for action in command.build_parser()._actions}
    assert actions == {"help", "resume", *more, *options.__dataclass_fields__}
    assert vars(command.build_parser().parse_args([])) == {}


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
        ({"time_budget": math.inf}, "--time-budget inf"),
        ({"cpus_per_trial": 0.0}, "--cpus-per-trial 0.0"),
        ({"gpus_per_trial": -1.0}, "--gpus-per-trial -1.0"),
    ],
)
def test_impossible_values_are_told_with_what_is_allowed(change, flag):
    with pytest.raises(UserError, match=f"{flag} .*allowed"):
        SearchOptions(space="loss", **change)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"top_k": 0}, "--top-k 0 is not possible; allowed: 1 or more"),
        ({"seeds": 0}, "--seeds 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"explain": -1}, "--explain -1 is not possible; allowed: 0 or more"),
        ({"search": "a", "config": ["b"]}, "--search and --config exclude each other"),
        ({"splits": ["random", "random"]}, "give each protocol once"),
        ({"folds": 1}, "--folds 1 is not possible; allowed: 2 or more"),
        ({"teacher": ["a"], "teacher_weight": 0.0}, "allowed: above 0, up to 1"),
        ({"teacher": ["a"], "teacher_weight": 1.5}, "--teacher-weight 1.5 is not possible"),
        ({"teacher_weight": 0.5}, "--teacher-weight 0.5 without a teacher; give .* --teacher"),
        ({"folds": 5, "teacher": ["a"]}, "--folds and --teacher exclude each other: the teacher's"),
    ],
)
def test_impossible_options_of_a_retraining_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        RetrainOptions(**values)


def test_the_first_judgement_comes_after_three_eighths_of_the_budget_unless_told():
    for max_epochs, grace in [(1, 1), (2, 1), (4, 2), (8, 3), (12, 4), (30, 11)]:
        assert SearchOptions(space="loss", max_epochs=max_epochs).grace_epochs == grace
    assert SearchOptions(space="loss", max_epochs=30, grace=2).grace_epochs == 2


def test_places_are_the_same_from_every_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()
    assert parse("--space", "mine.py").space == str(tmp_path / "mine.py")
    assert parse("--space", "loss").space == "loss"
    assert parse("--storage", "shared").storage == str(tmp_path / "shared")
    assert parse("--storage", "s3://bucket/x").storage == "s3://bucket/x"


def test_gpus_are_a_number_or_left_to_the_machine():
    assert parse("--gpus-per-trial", "auto").gpus_per_trial is None
    assert parse("--gpus-per-trial", "0.25").gpus_per_trial == 0.25
    with pytest.raises(SystemExit):
        parse("--gpus-per-trial", "half")


def test_options_survive_their_record_but_for_the_folder_of_results(search_record, retrain_record):
    for make, options in [
        (search_record, SearchOptions(space="loss", num_trials=5, data=["demo"])),
        (retrain_record, RetrainOptions(search="run", seeds=5, image_size=96)),
    ]:
        written = make(options=options).model_dump()["options"]
        assert "results" not in written
        assert make(options=written).options == options


def test_a_resumed_search_keeps_what_makes_its_trials_comparable():
    options = SearchOptions(space="loss", max_epochs=8, num_trials=5)
    longer = options.resumed_with(Namespace(num_trials=9, max_epochs=8), RESULTS, *WORDS)
    assert (longer.num_trials, longer.max_epochs) == (9, 8)
    with pytest.raises(UserError, match="--max-epochs 9 differs from 8"):
        options.resumed_with(Namespace(max_epochs=9), RESULTS, *WORDS)


def test_a_resumed_search_can_take_back_what_it_was_told():
    began = SearchOptions(space="loss", **vars(parse("--no-confirm", "--address", "auto")))
    assert (began.confirm, began.address) == (False, "auto")
    resumed = began.resumed_with(parse("--confirm", "--address", "local"), RESULTS, *WORDS)
    assert (resumed.confirm, resumed.address) == (True, None)
    assert resumed.results == RESULTS


def test_a_rule_that_is_gone_is_told_in_one_line():
    of_old = SearchOptions(space="loss", scheduler="median")
    with pytest.raises(UserError, match="has --scheduler median, which this version has not: only"):
        of_old.resumed_with(Namespace(), RESULTS, *WORDS)


def test_a_resumed_retraining_may_change_how_but_not_what():
    options, words = RetrainOptions(seeds=2), ("the retraining", "a new one")
    assert options.resumed_with(Namespace(flip=True, seeds=2), RESULTS, *words).flip
    same = ("search", "config", "top_k", "splits", "part", "epochs", "image_size", "weights")
    for name in (*same, "folds", "teacher", "teacher_weight"):
        with pytest.raises(UserError, match=r"of the retraining to resume; .* or start a new one"):
            options.resumed_with(Namespace(**{name: "other"}), RESULTS, *words)


@pytest.mark.parametrize(
    ("data", "weights", "message"),
    [
        (["demo"], "imagenet", None),
        (None, "none", None),
        (["demo", "nowhere"], "none", "no such data: nowhere"),
        (["kaggle"], "nowhere.pth", "no weights file nowhere.pth"),
    ],
)
def test_faces_and_weights_that_are_not_there_are_refused_by_name(data, weights, message):
    if message is None:
        check_paths(data, weights)
    else:
        with pytest.raises(UserError, match=message):
            check_paths(data, weights)


@pytest.mark.parametrize("wrong", [["--space", "nosuch"], ["--space", "quick", "--data", "no/"]])
def test_a_wrong_name_is_told_without_loading_what_a_search_needs(wrong):
    code = (
        "import sys; from tune.run_search import main\n"
        "try: main(sys.argv[1:])\n"
        "except ValueError: sys.exit(any(name in sys.modules for name in ('torch', 'ray')))"
    )
    command = [sys.executable, "-c", code, *wrong]
    assert subprocess.run(command, check=False, cwd=REPOSITORY).returncode == 0
