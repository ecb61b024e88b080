from argparse import Namespace
from pathlib import Path

import pytest

from tune.options.retrain import RetrainOptions, build_parser
from utkface.io import UserError

WORDS = ("the retraining", "a new one")
RESULTS = Path("/runs")  # where the run lies


def test_an_option_that_is_not_given_is_not_in_the_result():
    assert vars(build_parser().parse_args([])) == {}


def test_every_declared_option_is_a_field_and_every_field_is_declared():
    parser = build_parser()
    declared = {action.dest for action in parser._actions} - {"help", "resume"}
    assert declared == set(RetrainOptions.__dataclass_fields__)


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
        (
            {"teacher_weight": 0.5},
            "--teacher-weight 0.5 without a teacher; give one with --teacher",
        ),
        ({"folds": 5, "teacher": ["a"]}, "--folds and --teacher exclude each other: the teacher's"),
    ],
)
def test_impossible_options_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        RetrainOptions(**values)


def test_options_survive_their_record(retrain_record):
    options = RetrainOptions(search="run", seeds=5, image_size=96)
    written = retrain_record(options=options).model_dump()["options"]
    assert "results" not in written
    assert retrain_record(options=written).options == options


def test_going_on_may_change_how_but_not_what():
    options = RetrainOptions(seeds=2)
    assert options.resumed_with(Namespace(flip=True, seeds=2), RESULTS, *WORDS).flip
    same = ("search", "config", "top_k", "splits", "part", "epochs", "image_size", "weights")
    for name in (*same, "folds", "teacher", "teacher_weight"):
        with pytest.raises(UserError, match=r"of the retraining to resume; .* or start a new one"):
            options.resumed_with(Namespace(**{name: "other"}), RESULTS, *WORDS)
