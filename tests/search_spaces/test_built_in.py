"""Every space of the project: its points, its draws in a real study, and its conditions."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import FixedTrial, Trial
from pydantic import TypeAdapter

from search_spaces.common import BEST_GUESS, NO_AUGMENTATION, REFERENCE
from tune.spaces.file import list_spaces
from tune.spaces.signature import Signature, describe_change
from tune.spaces.space import load_space
from utkface.config import SET_BY_COMMAND, TrainConfig
from utkface.io import UserError

ROOT = Path(__file__).parents[2]
FIXED = {"epochs": 8, "image_size": 64, "seed": 3}
NAMES = [
    "augmentation", "baseline", "everything", "fairness", "long_runs", "loss", "oversampling",
    "quick", "schedule", "scratch", "weak_groups",
]  # fmt: skip

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def weights_file(tmp_path, monkeypatch):
    """What `weak_groups` reads; no other space looks at it."""
    path = tmp_path / "weights.json"
    path.write_text('{"group_weights": "80+ female=1.5, 0-3=1.2"}')
    monkeypatch.setenv("UTKFACE_GROUP_WEIGHTS", str(path))
    return path


@functools.cache
def load(name):
    return load_space(name, FIXED)


@pytest.fixture(params=NAMES)
def space(request, weights_file):
    return load(request.param)


def random_study():
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def test_each_space_of_the_folder_is_listed_with_its_question(weights_file):
    weights_file.unlink()  # which listing does not need
    spaces = list_spaces()
    assert list(spaces) == NAMES  # the shared pieces are not among them
    assert all(question.endswith("?") for question in spaces.values())


def test_what_is_to_answer_at_once_imports_neither_optuna_nor_torch():
    code = """
import contextlib, sys
from tune.run_search import main
for option in ("--list-spaces", "--list-parameters", "--help"):
    print("answer")
    with contextlib.suppress(SystemExit):
        main([option])
sys.exit(bool({"optuna", "ray", "torch", "numpy"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert all(len(answer) > 100 for answer in done.stdout.split("answer\n")[1:])


def test_random_trials_are_configurations_and_the_same_again_when_resumed(space):
    study, configs = random_study(), set()
    for _ in range(100):
        trial = study.ask()
        config = space.config(trial, FIXED)
        assert (config.epochs, config.image_size, config.seed) == (8, 64, 3)
        assert space.config(Trial(study, trial._trial_id), FIXED) == config
        assert space.config(FixedTrial(trial.params), FIXED) == config
        configs.add(config)
    assert len(configs) == 100


def test_points_become_exactly_those_configurations(space):
    study, examples = random_study(), space.example_configs(FIXED)
    assert len(space.points) >= 2
    assert len(examples) == len(space.points) + len(space.draws)
    for point, example in zip(space.points, examples, strict=False):
        params, overrides = space.split_point(point)
        study.enqueue_trial(params)
        trial = study.ask()
        config = space.config(trial, FIXED, overrides)
        assert trial.params == params  # nothing was drawn beside them
        assert config == example
        assert {name: getattr(config, name) for name in point} == point


def test_a_signature_is_stable_and_survives_json_and_no_range_moves(space):
    signature, of_signature = space.signature(), TypeAdapter(Signature)
    assert of_signature.validate_json(of_signature.dump_json(signature)) == signature
    again = load_space(space.name).signature()
    assert describe_change(signature, again) is None
    assert space.remarks == []


@pytest.mark.parametrize(
    ("name", "parameter", "condition"),
    [
        ("schedule", "pct_start", lambda config: config.schedule == "one_cycle"),
        ("schedule", "plateau_factor", lambda config: config.schedule == "plateau"),
        ("schedule", "step_epochs", lambda config: config.schedule == "step"),
        ("loss", "huber_delta_years", lambda config: config.age_loss == "huber"),
        ("loss", "dldl_sigma_years", lambda config: config.age_loss == "dldl"),
        ("fairness", "dldl_sigma_per_year", lambda config: config.age_loss == "dldl"),
        ("oversampling", "oversample_balance", lambda config: config.oversample_by != "none"),
    ],
)
def test_a_conditional_parameter_is_suggested_only_where_it_matters(name, parameter, condition):
    space, study = load(name), random_study()
    reached = []
    for _ in range(40):
        trial = study.ask()
        reached.append(condition(space.config(trial, FIXED)))
        assert (parameter in trial.params) == reached[-1]
    assert any(reached)
    assert not all(reached)


def test_what_a_space_holds_constant_holds_for_its_points_too():
    def configs(name):
        space = load(name)
        for point in space.points:
            params, overrides = space.split_point(point)
            yield space.config(FixedTrial(params), FIXED, overrides)

    for config in configs("baseline"):
        assert {name: getattr(config, name) for name in NO_AUGMENTATION} == NO_AUGMENTATION
        assert config.oversample_by == "none"
    assert not any(config.pretrained for config in configs("scratch"))
    assert {config.oversample_by for config in configs("augmentation")} == {"none"}
    assert {config.ema_decay for config in configs("quick")} == {0.0}


def test_weak_groups_asks_with_no_strength_first_and_keeps_the_weights_it_read(weights_file):
    space = load_space("weak_groups", FIXED)
    assert [point["group_weights_power"] for point in space.points] == [0.0, 0.5, 1.0]
    weights_file.write_text('{"group_weights": "all=9"}')
    config = space.config(random_study().ask(), FIXED)
    assert config.group_weights == "80+ female=1.5, 0-3=1.2"
    change = describe_change(space.signature(), load_space("weak_groups", FIXED).signature())
    assert "group_weights" in change, "a search is not resumed with other weights"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file {path} of group weights; make it with `python -m utkface.eval"),
        ("{", "{path} is not a file of group weights"),
        ("[]", "{path} is not a file of group weights"),
        ('{"group_weights": ""}', "{path} names no weak group"),
        ('{"group_weights": "80+=0.5"}', "group_weights='80+=0.5' is malformed"),
    ],
)
def test_weak_groups_refuses_what_is_no_file_of_weights(weights_file, content, message):
    weights_file.unlink()
    if content is not None:
        weights_file.write_text(content)
    with pytest.raises(UserError) as caught:
        load_space("weak_groups", FIXED)
    assert message.format(path=weights_file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fairness_alone_asks_for_several_objectives(weights_file):
    objectives = {name: load(name).objectives for name in NAMES}
    assert objectives.pop("fairness") == ("age_mae", "gender_error", "worst_group_mae")
    assert set(objectives.values()) == {("smooth_score",)}


def test_colour_knobs_share_one_strength():
    config = load("augmentation").config(random_study().ask(), FIXED)
    assert config.brightness == config.contrast == config.saturation


def test_starting_configurations_name_hyperparameters_and_nothing_a_command_sets():
    for point in (REFERENCE, BEST_GUESS):
        assert not set(point) & set(SET_BY_COMMAND)
        TrainConfig.from_dict(point)
    assert TrainConfig.from_dict(BEST_GUESS) == TrainConfig()  # the defaults are our best guess


def test_the_reference_is_the_published_one():
    config = TrainConfig.from_dict(REFERENCE)
    assert (config.max_lr, config.weight_decay, config.batch_size) == (0.01232, 1.93e-4, 256)
    assert (config.pct_start, config.div_factor, config.final_div_factor) == (0.367, 24, 2873)
    assert (config.age_loss, config.gender_weight, config.head_l1) == ("l1", 0.9, 1e-4)
    assert (config.dropout, config.ema_decay, config.label_smoothing) == (0.1, 0, 0)


def test_long_runs_begins_with_the_recipe_that_was_written_by_hand():
    first = load("long_runs").points[0]
    recipe = json.loads((ROOT / "docs" / "recipes" / "strong.json").read_text())
    assert TrainConfig.from_dict(first) == TrainConfig.from_dict(recipe)
