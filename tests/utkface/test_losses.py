"""Losses against answers worked out by hand, and the watch over them."""

import math

import pytest
import torch

from utkface.config import TrainConfig
from utkface.losses import FaceLoss, FaceLosses, age_distributions, mean_losses
from utkface.model import NUM_AGES, FaceOutputs, build_model

AGE = torch.tensor([30, 50])
GENDER = torch.tensor([0, 1])


def losses(
    age_output: torch.Tensor,
    logits: torch.Tensor,
    teacher: tuple[torch.Tensor, ...] = (),
    **values: object,
) -> FaceLosses:
    config = TrainConfig.from_dict({"image_size": 32, **values})
    model = build_model(config, "none")
    with torch.no_grad():
        model.age_head.weight.fill_(0.1)
        model.gender_head.weight.fill_(-0.1)
    return FaceLoss(config)(model, FaceOutputs(age_output, logits), AGE, GENDER, *teacher)


def test_l1_is_the_mean_error_in_years_and_weights_mix_the_two() -> None:
    result = losses(
        torch.tensor([[33.0], [49.0]]),
        torch.zeros(2, 2),
        age_loss="l1",
        gender_weight=0.9,
        label_smoothing=0.0,
    )
    assert result.age.item() == pytest.approx(2.0)
    assert result.gender.item() == pytest.approx(math.log(2))
    assert result.total.item() == pytest.approx(0.9 * math.log(2) + 0.1 * 2.0)


def test_huber_is_half_a_square_inside_delta_and_years_outside() -> None:
    result = losses(
        torch.tensor([[32.0], [60.0]]), torch.zeros(2, 2), age_loss="huber", huber_delta_years=4.0
    )
    # 2 years: 2² / (2·4) = 0.5; 10 years: 10 - 4/2 = 8
    assert result.age.item() == pytest.approx((0.5 + 8.0) / 2)


def test_label_smoothing_moves_half_of_its_share_to_the_other_gender() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])  # both right
    right = -math.log(1 / (1 + math.exp(-2)))
    wrong = right + 2
    result = losses(torch.full((2, 1), 40.0), logits, age_loss="l1", label_smoothing=0.2)
    assert result.gender.item() == pytest.approx(0.9 * right + 0.1 * wrong)


def test_the_norm_of_the_heads_is_added_with_its_weight() -> None:
    outputs = torch.tensor([[30.0], [50.0]]), torch.zeros(2, 2)
    free = losses(*outputs, age_loss="l1")
    bound = losses(*outputs, age_loss="l1", head_l1=1e-3)
    assert (bound.total - free.total).item() == pytest.approx(1e-3 * 0.1 * 3 * 576)


def test_a_label_distribution_is_a_gaussian_that_widens_with_age() -> None:
    table = age_distributions(sigma_years=2.0, sigma_per_year=0.1)
    torch.testing.assert_close(table.sum(dim=1), torch.ones(NUM_AGES))
    assert torch.equal(table.argmax(dim=1), torch.arange(NUM_AGES))
    # At 50 the width is 7 years: one width away the density falls by exp(-1/2).
    assert (table[50, 57] / table[50, 50]).item() == pytest.approx(math.exp(-0.5), rel=1e-5)
    assert (table[50, 43] / table[50, 57]).item() == pytest.approx(1.0, rel=1e-5)


def test_dldl_of_a_perfect_distribution_leaves_only_the_expectations_error() -> None:
    values = {"dldl_sigma_years": 2.0, "dldl_sigma_per_year": 0.0}
    logits = age_distributions(2.0, 0.0)[AGE].clamp_min(1e-38).log()
    assert losses(logits, torch.zeros(2, 2), **values).age.item() == pytest.approx(0, abs=1e-4)


def test_dldl_of_a_uniform_distribution_is_what_it_should_be() -> None:
    # A width this small is all on one age: KL = log 117; the expectation of a uniform is 58.
    values = {"dldl_sigma_years": 0.1, "dldl_sigma_per_year": 0.0, "dldl_l1_weight": 0.5}
    result = losses(torch.zeros(2, NUM_AGES), torch.zeros(2, 2), **values)
    assert result.age.item() == pytest.approx(math.log(117) + 0.5 * (28 + 8) / 2, rel=1e-5)


def test_a_teacher_takes_its_share_of_every_target() -> None:
    taught_ages = torch.zeros(2, NUM_AGES)
    taught_ages[:, 20] = 1
    teacher = taught_ages, torch.tensor([1.0, 0.0])  # the opposite of both genders
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    right = -math.log(1 / (1 + math.exp(-2)))
    values = {"teacher_weight": 0.25, "label_smoothing": 0.0}
    result = losses(torch.tensor([[30.0], [50.0]]), logits, teacher, age_loss="l1", **values)
    assert result.age.item() == pytest.approx(0.25 * (10 + 30) / 2)
    assert result.gender.item() == pytest.approx(0.75 * right + 0.25 * (right + 2))
    # A label this narrow is all on one age: the target has three quarters there, one at 20.
    values |= {"dldl_sigma_years": 0.1, "dldl_sigma_per_year": 0.0, "dldl_l1_weight": 0.0}
    uniform = losses(torch.zeros(2, NUM_AGES), logits, teacher, **values)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert uniform.age.item() == pytest.approx(math.log(117) - entropy, rel=1e-5)


def step(total: float) -> torch.Tensor:
    return torch.tensor([total, 2.0, 3.0])


@pytest.mark.parametrize("num_steps", [1, 51])
def test_the_mean_is_over_all_steps_however_many(num_steps: int) -> None:
    means = mean_losses([step(float(index)) for index in range(num_steps)], [0.1] * num_steps, 1)
    assert means["train_loss"] == pytest.approx((num_steps - 1) / 2)
    assert means["train_age_loss"] == 2.0
    assert means["train_gender_loss"] == 3.0


@pytest.mark.parametrize("bad_step", [3, 53])
def test_the_first_loss_that_is_not_finite_is_named(bad_step: int) -> None:
    steps = [step(math.inf if number >= bad_step else 1.0) for number in range(1, 101)]
    with pytest.raises(FloatingPointError) as caught:
        mean_losses(steps, [float(number) for number in range(1, 101)], epoch=7)
    assert f"epoch 7, step {bad_step}, with learning rate {bad_step}" in str(caught.value)
