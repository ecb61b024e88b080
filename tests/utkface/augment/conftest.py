import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from utkface.augment.draws import Draws


@pytest.fixture
def make_draws():
    """Build the draws of num faces to which nothing happens but the changes given."""

    def make(num: int, **changes: Tensor) -> Draws:
        no, zero, one = torch.zeros(num, dtype=torch.bool), torch.zeros(num), torch.ones(num)
        nothing = {
            "flip": no,
            "rotation_degrees": zero,
            "translate": torch.zeros(num, 2),
            "scale": one,
            "perspective": torch.zeros(num, 4, 2),
            "autocontrast": no,
            "brightness": one,
            "contrast": one,
            "saturation": one,
            "hue": zero,
            "blur_sigma": zero,
            "sharpen": no,
            "erase_box": torch.zeros(num, 4),
        }
        assert changes.keys() <= nothing.keys()
        return Draws(**(nothing | changes))

    return make


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(20260101)


@pytest.fixture
def pictures(generator):
    """Six smooth 48-pixel pictures, uint8 (6, 3, 48, 48), whose values keep clear of 0 and 255."""
    coarse = 90 + 70 * torch.rand(6, 3, 7, 7, generator=generator)
    smooth = F.interpolate(coarse, size=48, mode="bicubic", align_corners=False)
    return smooth.round().to(torch.uint8).contiguous(memory_format=torch.channels_last)
