"""`TrainConfig`: what it refuses, in which words, and that it survives JSON."""

import dataclasses
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utkface.config import SET_BY_COMMAND, TrainConfig, describe_parameters
from utkface.io import UserError

SPECS = {spec.name: spec for spec in dataclasses.fields(TrainConfig)}
RANGED = [name for name, spec in SPECS.items() if "low" in spec.metadata]
CHOICES = [name for name, spec in SPECS.items() if spec.metadata.get("options")]


def values_of(spec):
    """Return a strategy over what a field allows, its ends included."""
    if spec.metadata.get("options"):
        return st.sampled_from(spec.metadata["options"])
    if "pattern" in spec.metadata:
        return st.from_regex(spec.metadata["pattern"], fullmatch=True).map(forwards)
    if isinstance(spec.default, bool):
        return st.booleans()
    low, high = spec.metadata["low"], spec.metadata["high"]
    if isinstance(spec.default, int):
        return st.integers(low, high)
    return st.floats(float(low), float(high))


def forwards(text):
    """Swap the ends of ranges of ages that run backwards."""
    return re.sub(r"(\d+)-(\d+)", lambda m: "-".join(sorted(m.groups(), key=int)), text)


def allowed_configs():
    values = st.fixed_dictionaries({name: values_of(spec) for name, spec in SPECS.items()})
    return values.filter(
        lambda v: (
            v["freeze_epochs"] < v["epochs"]
            and (v["initial_image_size"] == 0 or 32 <= v["initial_image_size"] <= v["image_size"])
            and (v["group_weights"] or v["oversample_by"] != "weights")
            and (v["intensive_pipeline"] == "own" or v["intensive_strength"] == 1)
        )
    )


def error_of(**values):
    with pytest.raises(UserError) as caught:
        TrainConfig.from_dict(values)
    message = str(caught.value)
    assert "\n" not in message
    return message


@given(allowed_configs())
@settings(deadline=None)
def test_every_allowed_configuration_survives_json(values):
    config = TrainConfig.from_dict(values)
    assert config.to_dict() == values
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(
    st.sampled_from(list(SPECS)),
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["l1", "", "step"]),
)
@settings(deadline=None)
def test_a_value_is_either_kept_or_refused_by_name(name, value):
    try:
        config = TrainConfig.from_dict({name: value})
    except UserError as error:
        assert str(error).startswith(f"{name}=")  # noqa: PT017 - either outcome is right
    else:
        assert getattr(config, name) == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dropout": 1.5}, "dropout=1.5 is out of range; allowed: 0.0 to 0.9"),
        ({"dropout": math.nan}, "dropout=nan is out of range; allowed: 0.0 to 0.9"),
        ({"max_lr": math.inf}, "max_lr=inf is out of range; allowed: 1e-07 to 1.0"),
        ({"max_lr": 0}, "max_lr=0.0 is out of range; allowed: 1e-07 to 1.0"),
        ({"batch_size": 1}, "batch_size=1 is out of range; allowed: 2 to 8192"),
        ({"batch_size": 64.0}, "batch_size=64.0 is float; allowed: int"),
        ({"batch_size": True}, "batch_size=True is bool; allowed: int"),
        ({"dropout": False}, "dropout=False is bool; allowed: float"),
        ({"dropout": "0.1"}, "dropout='0.1' is str; allowed: float"),
        ({"pretrained": 1}, "pretrained=1 is int; allowed: bool"),
        ({"age_loss": "mse"}, "age_loss='mse' is unknown; allowed: l1, huber, dldl"),
        ({"age_loss": None}, "age_loss=None is NoneType; allowed: str"),
        ({"drop_out": 0.1}, "unknown hyperparameter drop_out=0.1; did you mean dropout?"),
        (
            {"freeze_epochs": 5, "epochs": 5},
            "freeze_epochs=5 leaves none of epochs=5 to train the backbone; "
            "allowed: fewer than epochs",
        ),
        (
            {"oversample_by": "weights"},
            "oversample_by='weights' needs group_weights, which is empty; give weights as "
            "`python -m utkface.evaluation.weak_groups` finds them",
        ),
        (
            {"group_weights": "0-3=1.5, 9-3 male=2"},
            "group_weights='0-3=1.5, 9-3 male=2' has ages that run backwards, 9-3; write 3-9",
        ),
    ],
)
def test_a_mistake_is_named_with_its_value_and_what_is_allowed(values, message):
    assert error_of(**values) == message


def test_a_name_like_no_other_gets_the_whole_list():
    assert "qqqq=1; allowed: epochs, image_size, initial_image_size, seed, backbone" in error_of(
        qqqq=1
    )


@pytest.mark.parametrize("name", RANGED)
def test_both_ends_are_allowed_and_nothing_beyond(name):
    low, high = SPECS[name].metadata["low"], SPECS[name].metadata["high"]
    room = {"freeze_epochs": {"epochs": 1000}, "initial_image_size": {"image_size": 224}}.get(
        name, {}
    )
    top = high - 1 if name == "freeze_epochs" else high  # all epochs frozen is refused for itself
    for end in (low, top):
        assert getattr(TrainConfig.from_dict({**room, name: end}), name) == end
    for beyond in (low - 1, high + 1):
        assert f"{name}={beyond!r} is out of range" in error_of(**room, **{name: beyond})


@pytest.mark.parametrize("name", CHOICES)
def test_every_option_is_allowed(name):
    for option in SPECS[name].metadata["options"]:
        values = {name: option, "group_weights": "80+=2"}  # "weights" needs some
        assert getattr(TrainConfig(**values), name) == option


@pytest.mark.parametrize(
    "text", ["", "0-3=1", "80+ female=1.62, 0-3=1.5, all black=12.125", "all male other=99"]
)
def test_weights_of_groups_survive(text):
    config = TrainConfig(group_weights=text)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))).group_weights == text


@pytest.mark.parametrize(
    "text",
    ["0-3", "=2", "0-3=0.5", "0-3=100", "0-3=nan", "0-3=-1", "old=2", "80+ woman=2", "0-3=2,4+=2"],
)
def test_malformed_weights_of_groups_are_refused_with_an_example(text):
    message = error_of(group_weights=text)
    assert message.startswith(f"group_weights={text!r} is malformed; allowed: ages")
    assert "'80+ female=1.62" in message


def test_whole_numbers_become_the_fields_own_type():
    config = TrainConfig(dropout=0, max_lr=1)
    assert (type(config.dropout), type(config.max_lr)) == (float, float)
    assert TrainConfig(dropout=0) == TrainConfig(dropout=0.0)


def test_a_configuration_cannot_be_changed_but_replaced():
    config = TrainConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.dropout = 0.5
    assert config.replace(dropout=0.5) == TrainConfig(dropout=0.5)
    assert config == TrainConfig()
    with pytest.raises(UserError, match="did you mean dropout"):
        config.replace(dropuot=0.5)


def test_what_a_command_sets_are_fields():
    assert set(SET_BY_COMMAND) <= set(SPECS)


def test_every_hyperparameter_is_listed_with_default_meaning_and_range():
    lines = describe_parameters()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == [spec.name for spec in dataclasses.fields(TrainConfig)]
    dropout = next(line for line in lines if line.startswith("  dropout "))
    assert dropout.split(maxsplit=2) == ["dropout", "0.2", "before the two heads (0 to 0.9)"]
    weights = next(line for line in lines if line.startswith("  group_weights "))
    assert weights.endswith("finds them"), "what they may be is a sentence, for errors"
    assert "Model" in lines
    assert any(line.endswith("set by --seed, never suggested") for line in lines)
