"""Autocontrast, brightness, contrast, saturation, hue, grey and normalisation as one matrix a face.

The order is the one of the heading. Each of these is linear in the pixel, given the face's own
channel means and extremes, so that together they are one 3 × 4 matrix. Two differences from
torchvision follow: values are cut to the valid range once, at the end, instead of after each step;
and the hue is turned about the grey axis, keeping the sum of the channels, where torchvision turns
it in HSV, keeping the largest of them (on UTKFace the two differ by 0.02 to 0.04 on average at a
tenth of the circle; turning it in YIQ, keeping the luma, would differ twice as much).
"""

import functools

import torch
from torch import Tensor

from utkface.augment.draws import Draws

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as in torchvision


def normalise(images: Tensor) -> Tensor:
    """Scale pictures to ImageNet's mean and spread, the only change that validation makes.

    images: (B, 3, H, W) uint8, fastest when channels_last. Returns float32, channels_last.
    """
    assert images.dtype == torch.uint8, images.dtype
    num, channels, height, width = images.shape
    mean, std = _imagenet(images.device)
    # Rows of interleaved channels: a broadcast over thousands of numbers, not over three.
    pixels = images.permute(0, 2, 3, 1).reshape(num, height, width * channels).float()
    pixels.mul_((1 / (255 * std)).repeat(width)).sub_((mean / std).repeat(width))
    return pixels.view(num, height, width, channels).permute(0, 3, 1, 2)


def recolour(images: Tensor, draws: Draws, *, autocontrast: bool) -> Tensor:
    """Change the colours of each face, cut them to the valid range and normalise them.

    images: (B, 3, H, W) float32 in [0, 255], contiguous. Returns the same shape, normalised.
    Not autocontrast: leave the stretching out and save its two passes over the pixels.
    """
    linear, offset = colour_matrix(images, draws, autocontrast=autocontrast)
    mean, std = _imagenet(images.device)
    linear, offset = linear / std[:, None], (offset - mean) / std
    changed = torch.baddbmm(offset[..., None], linear, images.flatten(2)).view_as(images)
    return clamp_normalised(changed)


def clamp_normalised(images: Tensor) -> Tensor:
    """Cut normalised (B, 3, H, W) pictures to what pixel values in [0, 1] can give, in place."""
    for channel, mean, std in zip(images.unbind(1), IMAGENET_MEAN, IMAGENET_STD, strict=True):
        channel.clamp_(-mean / std, (1 - mean) / std)
    return images


def colour_matrix(images: Tensor, draws: Draws, *, autocontrast: bool) -> tuple[Tensor, Tensor]:
    """Compose each face's colour changes, from values in [0, 255] to values in [0, 1].

    images: (B, 3, H, W) float32. Returns the linear part (B, 3, 3) and the offset (B, 3).
    """
    stretch, shift = images.new_full((len(images), 3), 1 / 255), images.new_zeros(len(images), 3)
    if autocontrast:
        low, high = images.amin((2, 3)), images.amax((2, 3))
        wanted = draws.autocontrast[:, None] & (high > low)  # a flat channel stays as it is
        stretch = torch.where(wanted, 1 / (high - low), stretch)
        shift = torch.where(wanted, -low * stretch, shift)

    luma, mean, rest, across = _grey_and_hue(images.device)
    angle = (2 * torch.pi * draws.hue)[:, None, None]
    turn = mean + angle.cos() * rest + angle.sin() * across  # (B, 3, 3), leaves grey as it is
    mix = torch.lerp(luma, turn, draws.saturation[:, None, None])
    factor = (draws.brightness * draws.contrast)[:, None]
    # Contrast pulls towards the mean grey of the picture so far; being grey, it passes `mix` as is.
    mean_grey = (stretch * images.mean((2, 3)) + shift) @ luma[0] * draws.brightness
    offset = (mix @ (factor * shift)[..., None])[..., 0]
    offset = offset + ((1 - draws.contrast) * mean_grey)[:, None]
    return mix * (factor * stretch)[:, None], offset


@functools.cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:
    """Keep the two constants on the device: copying them for every batch would wait for it."""
    return torch.tensor(IMAGENET_MEAN, device=device), torch.tensor(IMAGENET_STD, device=device)


@functools.cache
def _grey_and_hue(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the (3, 3) matrices that colours are mixed from: luma, and the three of a hue.

    Turning by an angle a about the grey axis is mean + cos(a) rest + sin(a) across (Rodrigues).
    """
    luma = torch.tensor([GREY_WEIGHTS]) / sum(GREY_WEIGHTS)
    mean = torch.full((3, 3), 1 / 3)
    across = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    matrices = luma.expand(3, 3), mean, torch.eye(3) - mean, across
    first, second, third, fourth = (matrix.to(device) for matrix in matrices)
    return first, second, third, fourth
