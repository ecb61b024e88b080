"""The optimiser, its schedule, the average of the weights, and its statistics."""

import math

import numpy as np
import pytest
import torch

from utkface.augment import normalise
from utkface.backbones import make_features
from utkface.batches import ImageStore
from utkface.config import TrainConfig
from utkface.model import FaceModel, build_model
from utkface.optim import Schedule, WeightAverage, build_optimiser, measure_batchnorm


def config(**values: object) -> TrainConfig:
    return TrainConfig.from_dict({"image_size": 32, "max_lr": 0.01, "epochs": 5, **values})


def small_model() -> FaceModel:
    return build_model(config(), "none")


def rates(settings: TrainConfig, num_steps_per_epoch: int, scores: list[float]) -> list[float]:
    """The learning rate of every step of a run whose epochs end with the given scores."""
    settings = settings.replace(epochs=len(scores))
    optimiser = build_optimiser(torch.nn.Linear(2, 2), settings)
    schedule = Schedule(optimiser, settings, num_steps_per_epoch)
    taken = []
    for score in scores:
        for _ in range(num_steps_per_epoch):
            taken.append(schedule.lr)
            optimiser.step()
            schedule.after_step()
        schedule.after_epoch(score)
    return taken


def test_norms_and_biases_are_not_decayed_and_no_parameter_is_forgotten() -> None:
    model = small_model()
    decayed, others = build_optimiser(model, config(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    ids = {id(p) for p in others["params"]}
    assert all(id(p) in ids for norm in norms for p in norm.parameters())
    assert id(model.age_head.bias) in ids
    assert id(model.age_head.weight) not in ids
    assert len(ids) + len(decayed["params"]) == len(list(model.parameters()))


def test_the_scale_of_a_channel_is_not_decayed() -> None:
    features = make_features("convnext_tiny")
    decayed, _ = build_optimiser(features, config()).param_groups
    ids = {id(p) for p in decayed["params"]}
    scales = [p for name, p in features.named_parameters() if name.endswith("layer_scale")]
    assert scales
    assert not any(id(p) in ids for p in scales)


def test_a_single_step_is_taken_at_the_rate_asked_for() -> None:
    assert rates(config(), num_steps_per_epoch=1, scores=[1.0]) == [0.01]


def test_one_cycle_climbs_to_the_maximum_and_falls_to_almost_nothing() -> None:
    settings = config(pct_start=0.5, div_factor=10.0, final_div_factor=100.0)
    taken = rates(settings, num_steps_per_epoch=10, scores=[1.0] * 2)
    assert taken[0] == pytest.approx(0.001)
    assert max(taken) == taken[9] == pytest.approx(0.01)
    assert taken[-1] == pytest.approx(0.001 / 100)
    halfway = 0.01 + (0.001 - 0.01) * (1 + math.cos(math.pi * 3 / 9)) / 2
    assert taken[3] == pytest.approx(halfway)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 10])
@pytest.mark.parametrize("pct_start", [0.0, 0.1, 0.5, 1.0])
def test_one_cycle_holds_for_every_warm_up_and_beyond_its_end(
    num_steps: int, pct_start: float
) -> None:
    settings = config(pct_start=pct_start, epochs=1)
    optimiser = build_optimiser(torch.nn.Linear(2, 2), settings)
    schedule = Schedule(optimiser, settings, num_steps)
    for _ in range(num_steps + 3):
        assert 0 < schedule.lr <= 0.01
        optimiser.step()
        schedule.after_step()


def test_step_falls_at_its_epochs_only() -> None:
    settings = config(schedule="step", step_epochs=2, step_factor=0.1)
    assert rates(settings, 2, [1.0] * 5) == pytest.approx([0.01] * 4 + [1e-3] * 4 + [1e-4] * 2)


def test_plateau_falls_when_the_score_has_not_improved_for_too_long() -> None:
    settings = config(schedule="plateau", plateau_factor=0.5, plateau_patience_epochs=1)
    scores = [1.0, 0.9, 0.95, 0.95, 0.8]  # two epochs without a new best: lower after the fourth
    assert rates(settings, 1, scores) == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.005])


def test_constant_stays() -> None:
    assert rates(config(schedule="constant"), 3, [1.0, 5.0]) == [0.01] * 6


def test_the_average_follows_the_weights_with_a_decay_that_warms_up() -> None:
    model = small_model()
    average = WeightAverage(model, decay=0.5)
    expected = model.age_head.weight.detach().clone()
    for decay in (1 / 10, 2 / 11, 3 / 12):  # (1 + n) / (10 + n), all below 0.5
        with torch.no_grad():
            model.age_head.weight.add_(1.0)
        average.update()
        expected = decay * expected + (1 - decay) * model.age_head.weight
        torch.testing.assert_close(average.model.age_head.weight, expected)
    average.num_updates = 1000
    before = average.model.age_head.weight.clone()
    average.update()
    torch.testing.assert_close(average.model.age_head.weight, (before + model.age_head.weight) / 2)


def test_without_decay_the_average_is_the_model_itself() -> None:
    model = small_model()
    average = WeightAverage(model, decay=0.0)
    average.update()
    assert average.model is model
    assert average.state_dict()["weights"] is None


def test_the_statistics_become_those_of_the_faces_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    store = ImageStore(images, torch.device("cpu"))
    model = build_model(TrainConfig(image_size=32), "none").eval()
    convolution, norm = model.features[0][0], model.features[0][1]
    norm.running_mean.fill_(99.0)
    weights = [p.detach().clone() for p in model.parameters()]
    measure_batchnorm(model, store, np.arange(20))
    with torch.no_grad():
        maps = convolution(normalise(store.gather(np.arange(20))))
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, maps.var(dim=(0, 2, 3)))
    assert norm.momentum == pytest.approx(0.01)  # as torchvision set it
    assert not model.training
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
