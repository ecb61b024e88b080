"""A space's defects: each gets one line that says where, what, which value and what is allowed."""

import errno
import re

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FixedTrial

from tune.spaces.space import load_space
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
    assert (space.name, space.question, space.file.text) == ("mine", "Is this file sound?", SOUND)
    assert space.suggested == ["dropout"]
    assert space.split_point(space.points[0]) == ({"dropout": 0.1}, {"max_lr": 0.001})


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


# Of each: the text of the file, the line that the error names, and the message.
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


OBJECTIVES = {
    "unknown": (
        '("age_mea",)',
        "objective 'age_mea' is unknown; did you mean age_mae? allowed: sm",
    ),
    "a list in it": ('(["score"],)', "objective ['score'] is unknown"),
    "twice": ('("score", "score")', "objectives score, score are not possible"),
    "none": ("()", "objectives (none) are not possible"),
    "a text": ('"score"', "OBJECTIVES='score' is str; allowed: a tuple of names"),
}
FILES |= {
    f"objectives: {name}": (SOUND.replace("POINTS", f"OBJECTIVES = {value}\nPOINTS"), 3, what)
    for name, (value, what) in OBJECTIVES.items()
}


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
        "amp='fp8' is unknown; allowed: auto, off, fp16, bf16",
    ),
    "another value refused as well": (
        'd = trial.suggest_int("freeze_epochs", 0, 64) / 64\nreturn {"dropout": 0.1 + d}',
        6,
        "dropout=1.1 is out of range; allowed: 0.0 to 0.9",
    ),
    "a name that is put together": (
        'trial.suggest_float("d" + "ropout", 0.0, 1.5)\nreturn {}',
        5,
        "dropout=1.5 is out of range; allowed: 0.0 to 0.9 (suggested from 0.0..1.5)",
    ),
    "exits": ("raise SystemExit(3)", 5, "SystemExit: 3"),
    "two kinds in two branches": (
        'if trial.suggest_categorical("schedule", ["step", "constant"]) == "step":\n'
        '    trial.suggest_float("max_lr", 0.001, 0.01)\nelse:\n'
        '    trial.suggest_float("max_lr", 0.001, 0.01, log=True)\nreturn {}',
        8,
        "max_lr is suggested from 0.001..0.01 log in one trial and from 0.001..0.01 (line 6) in",
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


FILES |= {f"suggest: {name}": (space_with(body), *more) for name, (body, *more) in BODIES.items()}


@pytest.mark.parametrize(("text", "line", "what"), FILES.values(), ids=FILES)
def test_a_defect_is_told_with_its_line(write, text, line, what):
    path = write(text)
    message = error_of(path)
    assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert what in message


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"image_size": 0}, "--image-size 0 is out of range; allowed: 32 to 224"),
        ({"epochs": 0, "seed": 1}, "--max-epochs 0 is out of range; allowed: 1 to 1000"),
        ({"seed": -1}, "--seed -1 is out of range; allowed: 0 to 2147483647"),
    ],
)
def test_what_the_command_sets_is_checked_before_a_space_is_blamed(write, fixed, message):
    assert error_of(write(SOUND), fixed) == message


CONDITIONAL = """\
if trial.suggest_categorical("schedule", ["step", "constant"]) == "step":
    trial.suggest_int("step_epochs", 2, 6, step=2)
trial.suggest_categorical("pretrained", [True, False])
return {"dropout": 0.1}"""

POINTS = {
    "unknown name": ({"scedule": "step"}, "scedule is not a hyperparameter; did you mean schedule"),
    "set by the command": ({"seed": 1}, "seed is the same for every trial of a search: set it by"),
    "nobody teaches": ({"teacher_weight": 0.5}, "set it by retrain_best.py --teacher-weight"),
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
    "names one that no draw of the rest reaches": (
        {"schedule": "constant", "step_epochs": 4},
        "step_epochs=4 is not suggested beside its other values",
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


def test_a_numeric_range_may_depend_on_another_value_and_what_that_costs_is_told(write):
    body = (
        'if trial.suggest_categorical("pretrained", [True, False]):\n'
        '    trial.suggest_float("max_lr", 1e-4, 1e-3)\nelse:\n'
        '    trial.suggest_float("max_lr", 1e-4, 1e-2)\nreturn {}'
    )
    space = load_space(write(space_with(body)))
    ranges = space.signature().parameters["max_lr"].ranges
    assert sorted(ranges) == ["0.0001..0.001", "0.0001..0.01"]
    (remark,) = space.remarks
    assert remark.startswith("max_lr is suggested from 0.0001..0.001")
    assert "(lines 6 and 8), depending on other values" in remark


def test_what_a_point_leaves_out_is_sampled_as_in_optuna(write):
    points = [{"schedule": "step"}, {"step_epochs": 4}, {"dropout": 0.3}, {}]
    space = load_space(write(space_with(CONDITIONAL, points=repr(points))))
    examples = space.example_configs({})  # what is left out is drawn there, too
    assert [config.dropout for config in examples[:4]] == [0.1, 0.1, 0.3, 0.1]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for point in space.points:
        params, overrides = space.split_point(point)
        study.enqueue_trial(params)
        trial = study.ask()
        config = space.config(trial, {}, overrides)
        assert trial.params["pretrained"] in (True, False)
        if point != {"step_epochs": 4} or config.schedule == "step":  # else Optuna drops it
            assert {name: getattr(config, name) for name in point} == point


def test_a_draw_of_what_a_point_leaves_out_may_not_be_refused(write):
    body = (
        'trial.suggest_float("dropout", 0.0, 0.5)\n'
        'return {"hue": trial.suggest_float("gender_weight", 0.0, 0.5)}'
    )
    path = write(space_with(body, points="[{'dropout': 0.1, 'hue': 0.7}]"))
    assert "point 1: hue=0.7 is out of range; allowed: 0.0 to 0.5" in error_of(path)


DURING_A_SEARCH = {  # what no draw of the check meets
    "raises": ("1 / 0", 6, "ZeroDivisionError: division by zero"),
    "exits": ("raise SystemExit", 6, "SystemExit"),
    "a bad range": ('trial.suggest_float("hue", 1, 0)', 6, "ValueError: "),
    "returns nothing": ("return None", None, "suggest returned None"),
    "contradicts": ('return {"dropout": 3.0}', None, "dropout=3.0 is out of range"),
}


@pytest.mark.parametrize(("rare", "line", "what"), DURING_A_SEARCH.values(), ids=DURING_A_SEARCH)
def test_whatever_goes_wrong_in_suggest_during_a_search_is_one_line(write, rare, line, what):
    body = f'if trial.suggest_float("max_lr", 0.001, 0.01) == 0.0051234:\n    {rare}\nreturn {{}}'
    path = write(space_with(body))
    space = load_space(path)
    with pytest.raises(UserError) as caught:
        space.config(FixedTrial({"max_lr": 0.0051234}), {})
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: {what}" if line else f"{path}: {what}")
    assert "\n" not in message


def test_a_disk_that_is_full_during_suggest_is_not_the_spaces_fault(write, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    space = load_space(write(SOUND))
    storage = JournalStorage(JournalFileBackend(str(write(SOUND).with_name("journal"))))
    trial = optuna.create_study(storage=storage).ask()
    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    with pytest.raises(OSError, match="No space left"):
        space.config(trial, {})
