"""Training: it learns, goes on exactly where it stopped, leaks nothing, and stops at nonsense."""

import copy
import dataclasses
import gc
import operator
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from utkface.batches import TrainingData
from utkface.config import TrainConfig
from utkface.io import UserError, dump_checkpoint, parse_checkpoint
from utkface.training import Training

NUM_FACES, SIZE = 48, 32
TIMINGS = ("images_per_s", "time_s", "cpu_time_s")


def toy_faces(size: int = SIZE) -> TrainingData:
    """Noise whose redness is the gender and whose greenness is the age."""
    rng = np.random.default_rng(0)
    age, gender = rng.integers(1, 100, NUM_FACES), rng.integers(0, 2, NUM_FACES)
    images = rng.integers(0, 60, (NUM_FACES, size, size, 3), dtype=np.uint8)
    images[..., 0] += (gender * 150).astype(np.uint8)[:, None, None]
    images[..., 1] += age.astype(np.uint8)[:, None, None]
    images.setflags(write=False)  # as the memory map is
    race = rng.integers(0, 5, NUM_FACES)
    return TrainingData(images, age, gender, race, np.arange(32), np.arange(32, NUM_FACES))


def config(**values: Any) -> TrainConfig:
    defaults = {"image_size": SIZE, "epochs": 3, "batch_size": 8, "oversample_by": "age"}
    return TrainConfig.from_dict({**defaults, **values})


def training(**values: Any) -> Training:
    found = config(**values)
    return Training(found, toy_faces(found.image_size), weights="none")


def without_timings(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMINGS}


def tensors(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a nested state by their place in it."""
    if torch.is_tensor(value):
        return {name: value}
    items = value.items() if isinstance(value, dict) else ()
    return {k: v for key, part in items for k, v in tensors(part, f"{name}/{key}").items()}


def assert_same_state(first: Training, second: Training) -> None:
    ours, theirs = tensors(first.state_dict()), tensors(second.state_dict())
    assert ours.keys() == theirs.keys()
    assert len(ours) > 600  # model and two moments of the optimiser, at the least
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_it_learns_a_toy_problem() -> None:
    plain = {"flip_p": 0.0, "rotation_degrees": 0.0, "jitter_p": 0.0, "grey_p": 0.0}
    run = training(**plain, epochs=10, max_lr=0.01, ema_decay=0.5, oversample_by="none")
    first = run.run_epoch()
    last = [run.run_epoch() for _ in range(9)][-1]
    assert last["train_age_loss"] < 0.7 * first["train_age_loss"]
    assert last["gender_accuracy"] > 0.75  # of faces that it never saw; a guess is right in half
    assert last["age_mae"] < 18  # a guess is 25 years off


def test_the_metrics_of_an_epoch_are_flat_plain_numbers() -> None:
    metrics = training().run_epoch()
    assert list(metrics) == [
        *("epoch", "score", "smooth_score", "age_mae", "gender_accuracy", "gender_error"),
        *("gender_log_loss", "calibrated_gender_log_loss", "worst_group_mae"),
        *("train_loss", "train_age_loss", "train_gender_loss", "lr"),
        *("images_per_s", "time_s", "cpu_time_s"),
    ]
    assert all(type(value) in (int, float) for value in metrics.values())
    assert metrics["epoch"] == 1


@pytest.mark.parametrize(
    "values",
    [
        {"age_loss": "dldl", "freeze_epochs": 1},
        {"age_loss": "l1", "schedule": "plateau", "plateau_patience_epochs": 0, "ema_decay": 0.0},
    ],
)
def test_an_interrupted_run_ends_with_the_numbers_of_an_uninterrupted_one(values: dict) -> None:
    whole = training(**values)
    whole_metrics = [without_timings(whole.run_epoch()) for _ in range(3)]
    part = training(**values)
    metrics = [without_timings(part.run_epoch())]
    for _ in range(2):
        saved = dump_checkpoint(part.state_dict())
        torch.rand(3), np.random.rand(3)  # noqa: NPY002 disturbs the global generators
        part = training(**values)
        part.load_state_dict(parse_checkpoint(saved))
        metrics.append(without_timings(part.run_epoch()))
    assert metrics == whole_metrics
    assert_same_state(whole, part)
    assert without_timings(part.metrics) == whole_metrics[-1]


def test_nothing_leaks_from_one_run_to_the_next_in_the_same_process() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = training()
    first_metrics = without_timings(first.run_epoch())
    training(seed=5, dropout=0.6, noise_std=0.1, batch_size=16).run_epoch()
    last = training()
    assert without_timings(last.run_epoch()) == first_metrics
    assert_same_state(first, last)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_seeds_and_epochs_differ() -> None:
    settings = {"max_lr": 1e-7, "epochs": 2}  # next to no learning: what differs is the draws
    first = training(**settings, seed=1)
    losses = [first.run_epoch()["train_loss"], first.run_epoch()["train_loss"]]
    losses.append(training(**settings, seed=2).run_epoch()["train_loss"])
    assert len(set(losses)) == 3


def test_a_state_of_another_configuration_is_refused() -> None:
    state = training(dropout=0.3).state_dict()
    with pytest.raises(UserError, match=r"trained with dropout=0\.3, this run has dropout=0\.2"):
        training().load_state_dict(state)


def test_a_state_without_a_scale_goes_on_where_gradients_are_scaled() -> None:
    """As from a CPU to a card with fp16; the other way the scale is left aside."""
    first, second = training(), training()
    first.run_epoch()
    second.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    second.load_state_dict(first.state_dict())
    assert (second.epoch, second.scaler.get_scale()) == (1, 8.0)
    first.load_state_dict(second.state_dict())
    assert not first.scaler.is_enabled()


@pytest.mark.parametrize(
    ("ruined", "message"),
    [
        ("model.gender_head", r"the loss is nan in epoch 2, step 1, with learning rate 0\.25"),
        ("average.model.gender_head", r"not finite after epoch 2.*learning rate 0\.25"),
    ],
)
def test_what_is_not_finite_is_raised_with_epoch_and_rate(ruined: str, message: str) -> None:
    run = training(schedule="constant", max_lr=0.25)
    run.epoch = 1
    with torch.no_grad():
        operator.attrgetter(ruined)(run).weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=message):
        run.run_epoch()


def test_a_frozen_backbone_does_not_move_and_a_thawed_one_does() -> None:
    run = training(freeze_epochs=1)
    start = copy.deepcopy(run.model.state_dict())

    def moved() -> set[str]:
        now = run.model.state_dict()
        return {name.split(".")[0] for name in start if not torch.equal(start[name], now[name])}

    run.run_epoch()
    assert moved() == {"age_head", "gender_head"}
    run.run_epoch()
    assert moved() == {"features", "age_head", "gender_head"}


@pytest.mark.parametrize(
    "values",
    [
        {"backbone": "mobilenet_v3_large", "schedule": "step", "age_loss": "huber"},
        {"backbone": "efficientnet_b0", "schedule": "constant", "age_loss": "l1"},
        {"backbone": "resnet18", "freeze_epochs": 1},
        {"schedule": "plateau", "clip_norm": 0.1, "head_l1": 1e-4, "ema_decay": 0.0},
        {"schedule": "one_cycle", "batch_size": 4096, "oversample_by": "age_race"},
    ],
)
def test_every_backbone_schedule_and_loss_takes_an_epoch(values: dict) -> None:
    assert np.isfinite(list(training(**values).run_epoch().values())).all()


def test_batchnorm_is_measured_on_faces_as_often_as_they_are_drawn() -> None:
    plain, oversampled = training(oversample_by="none"), training(oversample_balance=1.0)
    assert sorted(plain.batchnorm_rows) == list(plain.data.train)
    assert len(set(oversampled.batchnorm_rows)) < len(oversampled.batchnorm_rows), "rare ones again"


def test_clipping_bounds_the_gradient() -> None:
    run = training(clip_norm=0.01, oversample_by="none", batch_size=32)
    run.run_epoch()
    norms = [p.grad.norm() for p in run.model.parameters()]
    assert torch.stack(norms).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_predictions_come_in_the_order_asked_for() -> None:
    run = training()
    rows = np.array([40, 3, 17])
    some, one = run.predict(rows), run.predict(rows[1:2])
    assert some.age_years[1] == pytest.approx(one.age_years[0], rel=1e-4)
    assert some.gender_probability[1] == pytest.approx(one.gender_probability[0], rel=1e-4)


def test_without_validation_faces_a_run_trains_the_same_model_and_reports_training_alone() -> None:
    data = toy_faces()
    alone = dataclasses.replace(data, val=np.empty(0, dtype=np.int64))
    runs = [Training(config(), faces, weights="none") for faces in (data, alone)]
    metrics = [without_timings(run.run_epoch()) for run in runs]
    kept = {"epoch", "train_loss", "train_age_loss", "train_gender_loss", "lr"}
    assert metrics[1].keys() == kept
    assert metrics[1] == {name: metrics[0][name] for name in kept}
    assert_same_state(*runs)


def test_a_plateau_is_seen_in_the_training_loss_where_there_are_no_validation_faces() -> None:
    data = dataclasses.replace(toy_faces(), val=np.empty(0, dtype=np.int64))
    values = {"schedule": "plateau", "plateau_patience_epochs": 0, "max_lr": 1e-7, "epochs": 6}
    run = Training(config(**values), data, weights="none")
    rates = [run.run_epoch()["lr"] for _ in range(6)]  # nothing is learned at such a rate
    assert rates[-1] < rates[0]


def test_images_grow_while_training() -> None:
    run = training(image_size=64, initial_image_size=32, epochs=3)
    sides = set()
    run.model.register_forward_pre_hook(lambda _, args: sides.add(args[0].shape[-1]))
    for expected in (32, 64, 64):
        sides.clear()
        run.run_epoch()
        assert sides == {expected}


def test_a_state_from_before_a_field_was_added_goes_on_with_its_default() -> None:
    run = training()
    run.run_epoch()
    state = run.state_dict()
    del state["config"]["initial_image_size"]
    again = training()
    again.load_state_dict(state)
    assert again.epoch == 1


def test_a_finished_training_is_freed_at_once() -> None:
    # Two at a time might not fit into a card's memory.
    made = training(epochs=1)
    made.run_epoch()
    ended = weakref.ref(made)
    gc.collect()
    gc.disable()
    try:
        del made
        assert ended() is None
    finally:
        gc.enable()
