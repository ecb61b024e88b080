"""Against torchvision, within 1e-5 of values in [0, 1]."""

import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from utkface.augment.colour import IMAGENET_MEAN, IMAGENET_STD
from utkface.augment.pixels import SHARPNESS, add_noise, blur, erase, sharpen

TOLERANCE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture
def images(generator):
    return torch.rand(5, 3, 33, 40, generator=generator)


def to_normalised(values):
    return TF.normalize(values, IMAGENET_MEAN, IMAGENET_STD)


def test_blur_agrees_with_torchvision(images):
    sigma = torch.tensor([0.0, 0.1, 0.5, 1.3, 2.0])
    out = blur(images, sigma)
    torch.testing.assert_close(out[0], images[0], **TOLERANCE)
    for index in range(1, 5):
        expected = TF.gaussian_blur(images[index], [5, 5], [float(sigma[index])])
        torch.testing.assert_close(out[index], expected, **TOLERANCE)


def test_sharpness_agrees_with_torchvision(images):
    """Overshoot included: both cut it to the valid range."""
    out = sharpen(to_normalised(images))
    expected = to_normalised(TF.adjust_sharpness(images, SHARPNESS))
    torch.testing.assert_close(out, expected, atol=5e-5, rtol=0)


def test_noise_adds_in_pixel_values_and_is_cut(images, generator):
    noise = 0.3 * torch.randn(images.shape, generator=generator)
    out = add_noise(to_normalised(images), noise)
    torch.testing.assert_close(out, to_normalised((images + noise).clamp(0, 1)), atol=5e-5, rtol=0)


def test_erase_agrees_with_torchvision(images):
    boxes = [[0, 0, 0, 0], [0, 0, 33, 40], [3, 5, 7, 11], [30, 36, 3, 4], [10, 0, 1, 40]]
    out = erase(images.clone(), torch.tensor(boxes, dtype=torch.float32))
    for index, box in enumerate(boxes):
        expected = TF.erase(images[index], *box, v=torch.zeros(3, 1, 1))
        assert out[index].equal(expected)
