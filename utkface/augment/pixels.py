"""What neither a homography nor a colour matrix can do: blur, sharpness and erasing."""

import torch
from torch import Tensor
from torch.nn import functional as F

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

    images: (B, C, H, W). Values may leave their range.
    """
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel *= (1 - SHARPNESS) / 13
    kernel[1, 1] += SHARPNESS
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = _convolve(images, kernel.expand(len(images), 3, 3))
    return out


def erase(images: Tensor, box: Tensor) -> Tensor:
    """Set each picture's box to zero, in place.

    images: (B, C, H, W); box: (B, 4) top, left, height and width in pixels.
    """
    top, left, height, width = box[:, :, None].unbind(1)
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    in_rows = (rows >= top) & (rows < top + height)  # (B, H)
    in_columns = (columns >= left) & (columns < left + width)  # (B, W)
    keep = ~(in_rows[:, None, :, None] & in_columns[:, None, None, :])
    # On the CPU a product runs eight times as fast as masked_fill.
    return images.mul_(keep.to(images.dtype))


def _convolve(images: Tensor, weights: Tensor) -> Tensor:
    """Convolve all channels of picture b with weights[b], without padding."""
    num, channels, height, width = images.shape
    kernels = weights[:, None].repeat_interleave(channels, 0)  # (B C, 1, h, w)
    out = F.conv2d(images.reshape(1, num * channels, height, width), kernels, groups=len(kernels))
    return out.view(num, channels, *out.shape[2:])
