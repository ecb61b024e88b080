"""A space's defects: each gets one line that says where, what, which value and what is allowed."""

import re

import pytest

from search_spaces import load_space
from utkface.io import UserError

SOUND = '''"""Is this file sound?"""

POINTS = [{"dropout": 0.1, "max_lr": 0.001}, {"dropout": 0.2}]


def suggest(trial):
    trial.suggest_float("dropout", 0.0, 0.5)
    return {"max_lr": 0.01}
'''


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    return write


def space_with(body, points="[]"):
    """Return a file whose `suggest` has this body, from line 5 on, and its points in line 2."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f'"""Is it?"""\nPOINTS = {points}\n\ndef suggest(trial):\n{lines}\n'


def error_of(path, fixed=None):
    with pytest.raises(UserError) as caught:
        load_space(path, fixed)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_users_own_file_is_loaded_with_its_question_text_and_points(write):
    space = load_space(str(write(SOUND)))
    assert (space.name, space.question, space.source) == ("mine", "Is this file sound?", SOUND)
    assert space.suggested == ["dropout"]
    assert space.split_point(space.points[0]) == ({"dropout": 0.1}, {"max_lr": 0.001})


def test_a_file_may_inherit_from_a_built_in_space(write):
    path = write(
        '"""Which ages, with a fixed rate?"""\n'
        "from search_spaces.oversampling import suggest_sampling\n\n"
        "def suggest(trial):\n"
        '    return {**suggest_sampling(trial), "max_lr": 0.002}\n'
    )
    assert load_space(path).suggested[0] == "oversample_by"


def test_a_changed_file_is_read_again(write):
    first = load_space(write(SOUND))
    second = load_space(write(SOUND.replace("0.01}", "0.02}")))
    assert first.draws[0].constants == {"max_lr": 0.01}
    assert second.draws[0].constants == {"max_lr": 0.02}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("oversampel", "did you mean oversampling?"),
        ("zzz", "allowed: augmentation, baseline, everything, fairness"),
        ("nowhere/space.py", "no search space at nowhere/space.py"),
        ("common", "unknown search space 'common'"),  # a shared piece, not a space
    ],
)
def test_an_unknown_space_is_refused_with_what_there_is(name, hint):
    assert hint in error_of(name)


def test_a_name_beside_a_file_of_that_name_is_asked_about(write, monkeypatch):
    monkeypatch.chdir(write(SOUND).parent)
    assert "did you mean the file mine.py?" in error_of("mine")


FILES = {
    "typing error": ('"""Is it?"""\ndef suggest(trial:\n', 2, "syntax error"),
    "stray return": ('"""Is it?"""\nreturn\n', 2, "'return' outside function"),
    "null byte": ('"""Is it?"""\n\0', None, "null byte"),
    "import fails": ('"""Is it?"""\nimport no_such_thing\n', 2, "ModuleNotFoundError"),
    "exits": ('"""Is it?"""\nraise SystemExit(3)\n', 2, "SystemExit: 3"),
    "no docstring": ("def suggest(trial):\n    return {}\n", 1, "docstring is missing"),
    "empty docstring": ('""" """\ndef suggest(trial):\n    return {}\n', 1, "docstring is missing"),
    "no suggest": ('"""Is it?"""\n', None, "def suggest(trial) is missing"),
    "suggest is no function": ('"""Is it?"""\nsuggest = 3\n', None, "suggest(trial) is missing"),
    "suggest takes nothing": (
        '"""Is it?"""\ndef suggest():\n    return {}\n',
        None,
        "takes 0 positional arguments",
    ),
    "points is a dict": ('"""Is it?"""\nPOINTS = {}\ndef suggest(t): ...\n', 2, "is dict; allowed"),
    "a point is a list": (
        '"""Is it?"""\nPOINTS = [\n    {},\n    [1],\n]\ndef suggest(t): ...\n',
        4,
        "point 2 is [1]; allowed: a dict",
    ),
}


@pytest.mark.parametrize(("text", "line", "what"), FILES.values(), ids=FILES)
def test_a_defect_of_the_file(write, text, line, what):
    path = write(text)
    message = error_of(path)
    assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert what in message


OBJECTIVES = {
    "unknown": (
        '("age_mea",)',
        "objective 'age_mea' is unknown; did you mean age_mae? allowed: smooth_score",
    ),
    "a list in it": ('(["score"],)', "objective ['score'] is unknown"),
    "twice": ('("score", "score")', "objectives score, score are not possible"),
    "none": ("()", "objectives (none) are not possible"),
    "a text": ('"score"', "OBJECTIVES='score' is str; allowed: a tuple of names"),
}


@pytest.mark.parametrize(("value", "what"), OBJECTIVES.values(), ids=OBJECTIVES)
def test_a_defect_of_the_objectives(write, value, what):
    path = write(SOUND.replace("\n\nPOINTS", f"\n\nOBJECTIVES = {value}\nPOINTS"))
    assert error_of(path).startswith(f"{path}:3: {what}")


def test_a_space_may_say_what_to_minimise(write):
    assert load_space(write(SOUND)).objectives == ("smooth_score",)
    text = SOUND.replace("POINTS", 'OBJECTIVES = ["worst_group_mae"]\nPOINTS')
    assert load_space(write(text)).objectives == ("worst_group_mae",)


# Of each: the body of `suggest`, whose first line is the file's fifth; the line; the message.
BODIES = {
    "returns None": ('trial.suggest_float("dropout", 0, 0.5)', None, "suggest returned None"),
    "raises": ("x = 1\nreturn {}['a']", 6, "KeyError: 'a'"),
    "suggests nothing": ("return {}", None, "suggests nothing"),
    "low > high": (
        'trial.suggest_float("dropout", 0.5, 0.1)\nreturn {}',
        5,
        "dropout: bad range, `low <= high` must hold, but got (low=0.5, high=0.1)",
    ),
    "log from 0": ('trial.suggest_float("max_lr", 0, 0.1, log=True)', 5, "max_lr: bad range"),
    "text as an end": ('trial.suggest_float("max_lr", "0", 0.1)', 5, "max_lr: bad range"),
    "no last end": ('trial.suggest_float("max_lr", 0.1, float("inf"))', 5, "0.1..inf; allowed"),
    "step does not fit": ('trial.suggest_int("batch_size", 16, 60, step=16)', 5, "not divisible"),
    "step with log": ('trial.suggest_float("max_lr", 0.1, 1, step=0.1, log=True)', 5, "bad range"),
    "float end of an int": ('trial.suggest_int("batch_size", 16.5, 64)', 5, "16.5 of suggest_int"),
    "no choices": ('trial.suggest_categorical("amp", [])', 5, "amp: bad range"),
    "a list as a choice": ('trial.suggest_categorical("amp", [[1], [2]])', 5, "amp: bad range"),
    "unknown parameter": (
        'trial.suggest_float("drop_out", 0, 0.5)\nreturn {}',
        5,
        "drop_out is not a hyperparameter; did you mean dropout?",
    ),
    "unknown constant": (
        'trial.suggest_float("dropout", 0, 0.5)\nreturn {"lr": 1}',
        6,
        "lr is not a hyperparameter",
    ),
    "low end out of range": (
        'trial.suggest_float("dropout", -0.00001, 0.5)\nreturn {}',
        5,
        "dropout=-1e-05 is out of range; allowed: 0.0 to 0.9 (suggested from -1e-05..0.5)",
    ),
    "high end out of range": (
        'trial.suggest_float("dropout", 0.0, 0.90001)\nreturn {}',
        5,
        "dropout=0.90001 is out of range; allowed: 0.0 to 0.9",
    ),
    "one choice of many unknown": (
        'trial.suggest_categorical("amp", ["off"] * 500 + ["fp8"])\nreturn {}',
        5,
        "amp='fp8' is unknown; allowed: off, fp16, bf16",
    ),
    "wrong type": (
        'trial.suggest_float("batch_size", 16, 64)\nreturn {}',
        5,
        "batch_size=16.0 is float; allowed: int",
    ),
    "constant out of range": (
        'trial.suggest_float("dropout", 0, 0.5)\nreturn dict(\n    max_lr=3.0)',
        7,
        "max_lr=3.0 is out of range; allowed: 1e-07 to 1.0",
    ),
    "constant is NaN": (
        'trial.suggest_float("dropout", 0, 0.5)\nreturn {"max_lr": float("nan")}',
        6,
        "max_lr=nan is out of range",
    ),
    "constant out of range at one end only": (
        'd = trial.suggest_float("dropout", 0.0, 0.5)\nreturn {"hue": d + 0.0001}',
        6,
        "hue=0.5001 is out of range; allowed: 0.0 to 0.5",
    ),
    "suggested twice": (
        'trial.suggest_float("dropout", 0, 0.1)\ntrial.suggest_float("dropout", 0, 0.5)',
        6,
        "dropout is suggested twice in one trial",
    ),
    "suggested and returned": (
        'd = trial.suggest_float("dropout", 0, 0.1)\nreturn {"dropout": d}',
        5,
        "dropout is both suggested and returned",
    ),
    "epochs suggested": ('trial.suggest_int("epochs", 1, 9)\nreturn {}', 5, "by --max-epochs"),
    "size returned": (
        'trial.suggest_float("dropout", 0, 0.1)\nreturn {"image_size": 64}',
        6,
        "by --image-size",
    ),
    "choices depend on a value": (
        'flip = trial.suggest_categorical("flip_p", [0.0, 0.5])\n'
        'trial.suggest_categorical("grey_p", [0.0, 0.1] if flip else [0.0, 0.2])\nreturn {}',
        6,
        "in another; allowed: one kind, one scale and the same choices",
    ),
    "not repeatable": (
        'import os\ntrial.suggest_float("dropout", 0, 0.1)\nreturn {"hue": os.urandom(1)[0] / 999}',
        None,
        "suggest is not repeatable",
    ),
    "depends on the trial's number": (
        'trial.suggest_float("dropout", 0, 0.1)\nreturn {"hue": trial.number / 1000}',
        None,
        "suggest is not repeatable",
    ),
    "defect in a branch": (
        'if trial.suggest_categorical("schedule", ["step", "plateau"]) == "plateau":\n'
        '    trial.suggest_float("plateau_factor", 0.1, 1.5)\nreturn {}',
        6,
        "plateau_factor=1.5 is out of range",
    ),
}


@pytest.mark.parametrize(("body", "line", "what"), BODIES.values(), ids=BODIES)
def test_a_defect_of_suggest(write, body, line, what):
    path = write(space_with(body))
    message = error_of(path)
    assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert what in message


CONDITIONAL = """\
if trial.suggest_categorical("schedule", ["step", "constant"]) == "step":
    trial.suggest_int("step_epochs", 2, 6, step=2)
trial.suggest_categorical("pretrained", [True, False])
return {"dropout": 0.1}"""

POINTS = {
    "unknown name": ({"scedule": "step"}, "scedule is not a hyperparameter; did you mean schedule"),
    "set by the command": ({"seed": 1}, "seed is the same for every trial of a search: set it by"),
    "no such choice": (
        {"schedule": "plateau"},
        "schedule='plateau' is not in 'step' or 'constant'",
    ),
    "outside the range": (
        {"schedule": "step", "step_epochs": 8, "pretrained": True},
        "step_epochs=8 is not in 2..6 step 2",
    ),
    "between the steps": (
        {"schedule": "step", "step_epochs": 3, "pretrained": True},
        "step_epochs=3 is not in 2..6 step 2",
    ),
    "float for an int": (
        {"schedule": "step", "step_epochs": 4.0, "pretrained": True},
        "step_epochs=4.0 is not in",
    ),
    "number for a bool": ({"schedule": "constant", "pretrained": 1}, "pretrained=1 is not in True"),
    "lacks a parameter": (
        {"schedule": "constant"},
        "pretrained is missing; allowed: True or False",
    ),
    "lacks a reached one": (
        {"schedule": "step", "pretrained": True},
        "step_epochs is missing; allowed: 2..6 step 2",
    ),
    "names an unreached one": (
        {"schedule": "constant", "step_epochs": 4, "pretrained": True},
        "step_epochs=4 is not suggested beside its other values",
    ),
    "override out of range": (
        {"schedule": "constant", "pretrained": True, "dropout": 1.5},
        "dropout=1.5 is out of range; allowed: 0.0 to 0.9",
    ),
}


@pytest.mark.parametrize(("point", "what"), POINTS.values(), ids=POINTS)
def test_a_defect_of_a_point(write, point, what):
    sound = {"schedule": "step", "step_epochs": 4, "pretrained": False}
    path = write(space_with(CONDITIONAL, points=repr([sound, point])))
    message = error_of(path)
    assert message.startswith(f"{path}:2: point 2: ")
    assert what in message


def test_a_point_that_breaks_suggest_is_reported_with_the_line(write):
    body = 'd = trial.suggest_float("dropout", 0.0, 0.5)\nreturn {} if d != 0.25 else 1 / 0'
    path = write(space_with(body, points="[{'dropout': 0.25}]"))
    assert error_of(path) == f"{path}:6: ZeroDivisionError: division by zero"


def test_a_space_that_contradicts_what_the_command_sets_is_refused(write):
    path = write(space_with('trial.suggest_int("freeze_epochs", 0, 4)\nreturn {}'))
    load_space(path, {"epochs": 5})
    message = error_of(path, {"epochs": 4})
    assert re.search(r":5: freeze_epochs=4 leaves none of epochs=4 .*suggested from 0..4", message)


def test_a_numeric_range_may_depend_on_another_value(write):
    body = (
        'low = trial.suggest_categorical("pretrained", [True, False])\n'
        'trial.suggest_float("max_lr", 1e-4, 1e-3 if low else 1e-2)\nreturn {}'
    )
    ranges = load_space(write(space_with(body))).signature()["parameters"]["max_lr"]["ranges"]
    assert sorted(ranges) == ["0.0001..0.001", "0.0001..0.01"]
