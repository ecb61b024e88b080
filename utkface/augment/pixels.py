"""What neither a homography nor a colour matrix can do: blur, sharpness, noise and erasing."""

import torch
from torch import Tensor
from torch.nn import functional as F

from utkface.augment.colour import IMAGENET_STD, clamp_normalised

_BLUR_RADIUS = 2  # pixels: a 5 × 5 kernel
SHARPNESS = 2.0  # factor; 1 leaves a picture as it is


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture with a 5 × 5 Gaussian of its own width.

    images: (B, C, H, W); sigma: (B,) pixels, 0 for none. The border is reflected.
    """
    offsets = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=0.05)[:, None]) ** 2)
    weights = weights / weights.sum(1, keepdim=True)  # (B, 5)
    padded = F.pad(images, [_BLUR_RADIUS] * 4, mode="reflect")
    return _convolve(_convolve(padded, weights[:, :, None]), weights[:, None, :])


def sharpen(images: Tensor) -> Tensor:
    """Move pictures away from their own 3 × 3 blur, leaving a border of one pixel as it is.

    images: (B, 3, H, W), normalised. What leaves the valid range is cut.
    """
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel *= (1 - SHARPNESS) / 13
    kernel[1, 1] += SHARPNESS
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = _convolve(images, kernel.expand(len(images), 3, 3))
    return clamp_normalised(out)


def add_noise(images: Tensor, noise: Tensor) -> Tensor:
    """Add noise to pictures, in place.

    images: (B, 3, H, W), normalised; noise: the same shape, in units of pixel values in [0, 1].
    What leaves the valid range is cut.
    """
    for channel, change, std in zip(images.unbind(1), noise.unbind(1), IMAGENET_STD, strict=True):
        channel.add_(change, alpha=1 / std)
    return clamp_normalised(images)


def erase(images: Tensor, box: Tensor) -> Tensor:
    """Set each picture's box to zero, in place.

    images: (B, C, H, W); box: (B, 4) top, left, height and width in pixels.
    """
    top, left, height, width = box[:, :, None].unbind(1)
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    in_rows = ((rows >= top) & (rows < top + height)).to(images.dtype)  # (B, H)
    in_columns = ((columns >= left) & (columns < left + width)).to(images.dtype)  # (B, W)
    # On the CPU products of numbers run eight times as fast as masked_fill.
    keep = 1 - in_rows[:, :, None] * in_columns[:, None, :]
    return images.mul_(keep[:, None])


def _convolve(images: Tensor, weights: Tensor) -> Tensor:
    """Convolve all channels of picture b with weights[b], without padding."""
    num, channels, height, width = images.shape
    kernels = weights[:, None].repeat_interleave(channels, 0)  # (B C, 1, h, w)
    out = F.conv2d(images.reshape(1, num * channels, height, width), kernels, groups=len(kernels))
    return out.view(num, channels, *out.shape[2:])
