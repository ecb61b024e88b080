import dataclasses

import pytest
import torch

from utkface.augment.draws import INTENSIVE, PARTS, draw, reference_turns, strength_table
from utkface.config import TrainConfig

NUM, SIDE = 4000, 64
OFF = TrainConfig(**dict.fromkeys(PARTS, 0.0))


def drawn(config, intensive=False, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return draw(strength_table(config), torch.full((NUM,), intensive), SIDE, generator)


def test_a_number_of_one_part_leaves_the_other_draws_as_they_were():
    plain, turned = drawn(TrainConfig()), drawn(TrainConfig(rotation_degrees=0.0, blur_p=0.5))
    differing = {
        spec.name
        for spec in dataclasses.fields(plain)
        if not getattr(plain, spec.name).equal(getattr(turned, spec.name))
    }
    assert differing == {"rotation_degrees", "blur_sigma"}


def test_equal_generators_draw_alike_and_others_do_not():
    first, again, other = drawn(TrainConfig()), drawn(TrainConfig()), drawn(TrainConfig(), seed=4)
    assert first.scale.equal(again.scale)
    assert not first.scale.equal(other.scale)
    assert len(first.scale.unique()) > 0.99 * NUM, "each face has its own draw"


@pytest.mark.parametrize(
    ("part", "field", "neutral"),
    [
        ("rotation_degrees", "rotation_degrees", 0.0),
        ("translate", "translate", 0.0),
        ("scale", "scale", 1.0),
        ("brightness", "brightness", 1.0),
        ("contrast", "contrast", 1.0),
        ("saturation", "saturation", 1.0),
        ("hue", "hue", 0.0),
    ],
)
def test_ranges_are_filled_evenly_about_the_neutral_value(part, field, neutral):
    values = getattr(drawn(OFF.replace(**{part: 0.3, "jitter_p": 1.0})), field) - neutral
    assert values.abs().max() <= 0.3 + 1e-6
    assert values.abs().max() > 0.295
    assert abs(values.mean()) < 0.01
    assert values.std() == pytest.approx(0.3 / 3**0.5, rel=0.03)


@pytest.mark.parametrize(
    ("part", "happened"),
    [
        ("flip_p", lambda draws: draws.flip),
        ("grey_p", lambda draws: draws.saturation == 0),
        ("blur_p", lambda draws: draws.blur_sigma > 0),
        ("sharpness_p", lambda draws: draws.sharpen),
        ("autocontrast_p", lambda draws: draws.autocontrast),
        ("erasing_p", lambda draws: draws.erase_box[:, 2] > 0),
        ("perspective_p", lambda draws: (draws.perspective > 0).any(2).any(1)),
        ("jitter_p", lambda draws: draws.brightness != 1),
    ],
)
@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_probabilities_are_kept(part, happened, probability):
    config = OFF.replace(perspective=0.5, brightness=0.5).replace(**{part: probability})
    share = happened(drawn(config)).float().mean()
    assert share == pytest.approx(probability, abs=0.0 if probability in (0.0, 1.0) else 0.03)


def test_erased_boxes_lie_in_the_picture_and_have_torchvisions_areas():
    top, left, height, width = drawn(OFF.replace(erasing_p=1.0)).erase_box.unbind(1)
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= SIDE
    area = height * width / SIDE**2
    assert 0.015 < area.min() < 0.03
    assert 0.31 < area.max() < 0.34
    assert top.max() > 0.9 * (SIDE - 1) - 10


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
def test_intensive_is_at_least_as_strong_and_within_the_fields_limits(strength):
    config = TrainConfig(oversample_by="age", intensive_strength=strength, perspective=0.9)
    basic, intensive = strength_table(config)
    assert (intensive >= basic).all()
    if strength == 0:
        assert intensive.equal(basic)
    # What is drawn at this strength is a valid configuration itself.
    config.replace(**dict(zip(PARTS, intensive.double().round(decimals=6).tolist(), strict=True)))


def test_intensive_at_strength_one_is_the_references_pipeline():
    table = strength_table(OFF.replace(oversample_by="age"))
    assert table[0].eq(0).all()
    torch.testing.assert_close(table[1], torch.tensor(list(INTENSIVE.values())))


def test_without_oversampling_nothing_is_intensive():
    basic, intensive = strength_table(TrainConfig(oversample_by="none", intensive_strength=2.0))
    assert intensive.equal(basic)


def test_the_reference_turns_a_fifth_by_35_degrees_and_a_fifth_within_20():
    turns = reference_turns(NUM, torch.Generator().manual_seed(0))
    assert (turns == 0).float().mean() == pytest.approx(0.8 * 0.8, abs=0.02)
    assert (turns == 35).float().mean() == pytest.approx(0.2 * 0.8, abs=0.02)
    assert turns.min() >= -20
    assert turns.max() <= 55


def test_after_the_references_pipeline_come_the_basic_draws_and_its_own_erasing():
    config = TrainConfig(oversample_by="age", intensive_pipeline="reference")
    basic, after = strength_table(config)
    differing = [name for name, one, other in zip(PARTS, basic, after, strict=True) if one != other]
    assert differing == ["erasing_p"]
    assert after[PARTS.index("erasing_p")] == pytest.approx(0.175)
