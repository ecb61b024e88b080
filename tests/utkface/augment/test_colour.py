"""Against torchvision on pictures that no step drives out of range.

Within 5e-4 of values in [0, 1], because torchvision's grey weights add up to 0.9999 and ours to 1;
the hue, which torchvision turns in another colour space, within 0.03 on average.
"""

import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from utkface.augment.colour import IMAGENET_MEAN, IMAGENET_STD, colour_matrix, normalise, recolour

TOLERANCE = {"atol": 5e-4, "rtol": 0}


def change(images, draws, autocontrast=False):
    """Apply the colour matrix alone, giving values in [0, 1]."""
    pixels = images.float()
    linear, offset = colour_matrix(pixels, draws, autocontrast=autocontrast)
    return torch.einsum("bij,bjhw->bihw", linear, pixels) + offset[..., None, None]


def one_by_one(function, images, factors):
    pairs = zip(images.float() / 255, factors.tolist(), strict=True)
    return torch.stack([function(image, factor) for image, factor in pairs])


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_agrees_with_torchvision(pictures, make_draws, name):
    factors = torch.linspace(0.6, 1.4, 6)
    out = change(pictures, make_draws(6, **{name: factors}))
    expected = one_by_one(getattr(TF, f"adjust_{name}"), pictures, factors)
    torch.testing.assert_close(out, expected, **TOLERANCE)


def test_grey_is_torchvisions_whatever_the_hue(pictures, make_draws):
    out = change(pictures, make_draws(6, saturation=torch.zeros(6), hue=torch.full((6,), 0.1)))
    expected = TF.rgb_to_grayscale(pictures.float() / 255, num_output_channels=3)
    torch.testing.assert_close(out, expected, **TOLERANCE)


def test_autocontrast_agrees_with_torchvision(pictures, make_draws):
    wanted = torch.tensor([True, True, False, True, False, True])
    pictures[5, 1] = 77  # a flat channel cannot be stretched
    out = change(pictures, make_draws(6, autocontrast=wanted), autocontrast=True)
    scaled = pictures.float() / 255
    expected = torch.where(wanted[:, None, None, None], TF.autocontrast(scaled), scaled)
    torch.testing.assert_close(out, expected, **TOLERANCE)


def test_hue_turns_as_far_as_torchvisions(pictures, make_draws):
    hues = torch.tensor([-0.1, -0.05, -0.02, 0.02, 0.05, 0.1])
    out = change(pictures, make_draws(6, hue=hues))
    expected = one_by_one(TF.adjust_hue, pictures, hues)
    assert (out - expected).abs().mean() < 0.03
    other_way = one_by_one(TF.adjust_hue, pictures, -hues)
    assert (out - other_way).abs().mean() > 2 * (out - expected).abs().mean()


def test_hue_of_a_third_of_the_circle_swaps_the_primaries(make_draws):
    primaries = 255 * torch.eye(3).view(1, 3, 1, 3)
    out = change(primaries, make_draws(1, hue=torch.tensor([1 / 3])))
    torch.testing.assert_close(out, torch.eye(3)[[2, 0, 1]].view(1, 3, 1, 3), atol=1e-5, rtol=0)


def test_composition_follows_torchvisions_steps(pictures, make_draws):
    """Autocontrast, brightness, contrast, saturation; dark enough to never reach 1."""
    brightness, contrast = torch.linspace(0.5, 0.7, 6), torch.linspace(0.8, 0.95, 6)
    saturation = torch.linspace(0.4, 1.0, 6)
    wanted = torch.ones(6, dtype=torch.bool)
    draws = make_draws(
        6, autocontrast=wanted, brightness=brightness, contrast=contrast, saturation=saturation
    )
    expected = TF.autocontrast(pictures.float() / 255)
    for function, factors in (
        (TF.adjust_brightness, brightness),
        (TF.adjust_contrast, contrast),
        (TF.adjust_saturation, saturation),
    ):
        expected = one_by_one(function, 255 * expected, factors)
    torch.testing.assert_close(change(pictures, draws, autocontrast=True), expected, **TOLERANCE)


def test_recolour_cuts_to_the_valid_range_and_normalises(pictures, make_draws):
    draws = make_draws(6, brightness=torch.full((6,), 2.0), contrast=torch.full((6,), 1.9))
    out = recolour(pictures.float().contiguous(), draws, autocontrast=False)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    values = out * std[:, None, None] + mean[:, None, None]
    expected = change(pictures, draws).clamp(0, 1)
    assert expected.max() == 1
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_normalise_is_torchvisions(pictures, memory_format):
    out = normalise(pictures.contiguous(memory_format=memory_format))
    expected = TF.normalize(pictures.float() / 255, IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)
    assert out.is_contiguous(memory_format=torch.channels_last)
