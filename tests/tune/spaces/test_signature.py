"""What a space does, compared between two versions of its file."""

import pytest

from tune.spaces.signature import Signature, describe_change
from tune.spaces.space import load_space

OLD = '''"""Which rate?"""

POINTS = [{"max_lr": 0.001, "schedule": "constant"}]

def suggest(trial):
    rate = trial.suggest_float("max_lr", 0.0001, 0.01, log=True)
    if trial.suggest_categorical("schedule", ["constant", "step"]) == "step":
        trial.suggest_int("step_epochs", 1, 4)
    return {"dropout": 0.1, "weight_decay": rate / 10}
'''


@pytest.fixture
def signature_of(tmp_path):
    def signature_of(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return load_space(path).signature()

    return signature_of


def test_comments_names_and_order_of_the_code_do_not_count(signature_of):
    rewritten = OLD.replace("rate", "learning_rate").replace("Which", "# What\nWhich")
    assert describe_change(signature_of(OLD), signature_of(rewritten)) is None


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("0.01, log", "0.02, log", "max_lr: 0.0001..0.01 log is now 0.0001..0.02 log"),
        (", log=True", "", "max_lr: 0.0001..0.01 log is now 0.0001..0.01"),
        ("1, 4)", "1, 4, step=3)", "step_epochs: 1..4 is now 1..4 step 3"),
        ('"dropout": 0.1', '"dropout": 0.2', "constant dropout=0.1 is now 0.2"),
        ('"dropout": 0.1, ', "", "constant dropout=0.1 is gone"),
        ("0.001,", "0.002,", "point 1: max_lr=0.001 is now 0.002"),
        (
            ' == "step"',
            ' == "constant"',
            "step_epochs is suggested under another condition",
        ),
        ("rate / 10", "rate / 20", "constant weight_decay='computed ("),
    ],
)
def test_a_change_of_behaviour_is_described(signature_of, before, after, change):
    assert before in OLD
    new = OLD.replace(before, after)
    if "under another" in change:  # the point must fit the new condition
        new = new.replace('"constant"}', '"step"}')
    description = describe_change(signature_of(OLD), signature_of(new))
    assert description is not None
    assert change in description


def test_a_new_parameter_leaves_the_others_as_they_were(signature_of):
    new = OLD.replace(
        "    rate =",
        '    trial.suggest_categorical("amp", ["off", "fp16"])\n    rate =',
    ).replace('{"max_lr"', '{"amp": "off", "max_lr"')
    description = describe_change(signature_of(OLD), signature_of(new))
    assert description == "amp is new: 'off' or 'fp16'; point 1: amp='off' is new"


def test_many_changes_still_make_one_line():
    old = Signature(constants=dict.fromkeys("abcdefg", 1))
    description = describe_change(old, Signature(points=[{}]))
    assert description is not None
    assert description.endswith("constant d=1 is gone; and 4 more")
