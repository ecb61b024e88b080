"""What happens to faces, and how: one colour matrix and one homography each, then the rest.

Colour: autocontrast, brightness, contrast, saturation, hue, grey and normalisation, in this order.
Each is linear in the pixel, given the face's own channel means and extremes, so that together they
are one 3 × 4 matrix. Two differences from torchvision follow: values are cut to the valid range
once, at the end, instead of after each step; and the hue is turned about the grey axis, keeping the
sum of the channels, where torchvision turns it in HSV, keeping the largest of them (on UTKFace the
two differ by 0.02 to 0.04 on average at a tenth of the circle; turning it in YIQ, keeping the luma,
would differ twice as much).

Geometry: flip, perspective, rotation, scale and translation, in the coordinates of
`torch.nn.functional.grid_sample` with ``align_corners=False``: the picture's edges lie at -1 and 1,
x grows to the right and y downwards. A homography maps a point of the new picture to where its
colour comes from in the old one. Colours are interpolated bilinearly; what lies outside the old
picture is its reflection, which leaves no black corners for the network to learn from.
"""

import functools
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as in torchvision
#: A perspective strong enough to show the horizon divides by zero there; this keeps it finite.
_NEAREST = 0.05
_BLUR_RADIUS = 2  # pixels: a 5 × 5 kernel
SHARPNESS = 2.0  # factor; 1 leaves a picture as it is


@dataclass(frozen=True)
class Draws:
    """What happens to each of B faces; every field is a tensor on the batch's device."""

    flip: Tensor  # (B,) bool
    rotation_degrees: Tensor  # (B,) clockwise
    translate: Tensor  # (B, 2) right and down, share of the side
    scale: Tensor  # (B,) above 1 enlarges
    perspective: Tensor  # (B, 4, 2) how far each corner moves inwards, share of half a side
    autocontrast: Tensor  # (B,) bool
    brightness: Tensor  # (B,) factor, likewise the next two; grey is a saturation of 0
    contrast: Tensor
    saturation: Tensor
    hue: Tensor  # (B,) share of the colour circle
    blur_sigma: Tensor  # (B,) pixels; 0: no blur
    sharpen: Tensor  # (B,) bool
    erase_box: Tensor  # (B, 4) top, left, height, width in whole pixels; height 0: nothing

    def __getitem__(self, rows: slice | Tensor) -> Self:
        """Return the draws of some of the faces."""
        return type(self)(*(values[rows] for values in vars(self).values()))


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


def to_pixels(images: Tensor) -> Tensor:
    """Undo `normalise`: from (B, 3, H, W) float32 to uint8, rounded."""
    mean, std = (255 * values[:, None, None] for values in _imagenet(images.device))
    return (images * std + mean).round_().clamp_(0, 255).to(torch.uint8)


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
def _grey_and_hue(device: torch.device) -> list[Tensor]:
    """Return the (3, 3) matrices that colours are mixed from: luma, and the three of a hue.

    Turning by an angle a about the grey axis is mean + cos(a) rest + sin(a) across (Rodrigues).
    """
    luma = torch.tensor([GREY_WEIGHTS]) / sum(GREY_WEIGHTS)
    mean = torch.full((3, 3), 1 / 3)
    across = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    matrices = luma.expand(3, 3), mean, torch.eye(3) - mean, across
    return [matrix.to(device) for matrix in matrices]


def homography(draws: Draws, *, projective: bool) -> Tensor:
    """Compose each face's geometry, in this order: flip, perspective, then the affine part.

    Returns (B, 3, 3), with 1 in the last place. Not projective: leave the perspective out.
    """
    matrix = _affine(draws)
    if projective:
        matrix = _perspective(draws.perspective) @ matrix
        matrix = matrix / matrix[:, 2:, 2:]
    mirror = torch.where(draws.flip, -1.0, 1.0)
    return torch.cat([matrix[:, :1] * mirror[:, None, None], matrix[:, 1:]], 1)


def sample(images: Tensor, matrix: Tensor, *, projective: bool) -> Tensor:
    """Look every new pixel up where its homography says.

    images: (B, C, S, S) float32, square; matrix: (B, 3, 3). Returns (B, C, S, S), contiguous.
    """
    num, _, side, width = images.shape
    assert side == width, "the coordinates of a rotation assume square pictures"
    centre = (torch.arange(side, device=images.device) * 2 + 1) / side - 1
    # A point is first_column * x + second_column * y + third_column. Along a row of pixels only x
    # changes, so a whole grid is an outer sum: (x part + constant) of a row, plus y part.
    along = centre[:, None] * matrix[:, None, :, 0] + matrix[:, None, :, 2]  # (B, S, 3)
    across = matrix[:, None, :, 1].expand_as(along)

    def outer(first: int, second: int) -> Tensor:
        constant, slope = (
            torch.stack([part[..., first], part[..., second]], 2).flatten(1)[:, None]
            for part in (along, across)
        )
        return torch.addcmul(constant, centre[:, None], slope)  # (B, S, 2 S), the two in turn

    grid = outer(0, 1)
    if projective:
        grid /= outer(2, 2).clamp_(min=_NEAREST)
    return F.grid_sample(
        images,
        grid.view(num, side, side, 2),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )


def _affine(draws: Draws) -> Tensor:
    """Invert rotation and scale about the middle, followed by a translation: (B, 3, 3)."""
    angle = torch.deg2rad(draws.rotation_degrees)
    cos, sin = angle.cos() / draws.scale, angle.sin() / draws.scale
    shift_x, shift_y = (2 * draws.translate).unbind(1)  # the side is 2 long
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rows = [
        [cos, sin, -cos * shift_x - sin * shift_y],
        [-sin, cos, sin * shift_x - cos * shift_y],
        [zero, zero, one],
    ]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _perspective(inwards: Tensor) -> Tensor:
    """Return the homography from the quadrilateral of moved corners to the square: (B, 3, 3)."""
    square = _square(inwards.device)
    moved = square - torch.cat([square[:, :2] * inwards, torch.zeros_like(inwards[..., :1])], 2)
    return _frame(square[None]) @ _adjugate(_frame(moved))


def _frame(points: Tensor) -> Tensor:
    """Return the homography from the projective frame to four points.

    points: (B, 4, 3) homogeneous. The frame is the three axes and (1, 1, 1); the axes go to the
    first three points, scaled so that their sum is the fourth.
    """
    columns = points[:, :3].transpose(1, 2)
    weights = _adjugate(columns) @ points[:, 3, :, None]
    return columns * weights.transpose(1, 2)


def _adjugate(matrix: Tensor) -> Tensor:
    """Invert 3 × 3 matrices up to a factor, which a homography does not see."""
    first, second, third = matrix.unbind(2)
    cross = torch.linalg.cross
    return torch.stack([cross(second, third), cross(third, first), cross(first, second)], 1)


@functools.cache
def _square(device: torch.device) -> Tensor:
    """Return the corners, clockwise from the upper left, as (4, 3) homogeneous points."""
    corners = [[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]
    return torch.tensor(corners, device=device)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture with a 5 × 5 Gaussian of its own width.

    images: (B, C, H, W); sigma: (B,) pixels, 0 for none. The border is reflected.
    """
    offsets = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=0.05)[:, None]) ** 2)
    weights = weights / weights.sum(1, keepdim=True)  # (B, 5)
    padded = F.pad(images, [_BLUR_RADIUS] * 4, mode="reflect")
    return _convolve(_convolve(padded, weights[:, :, None]), weights[:, None, :])


def sharpen(images: Tensor, factor: float = SHARPNESS) -> Tensor:
    """Move pictures away from their own 3 × 3 blur, leaving a border of one pixel as it is.

    images: (B, 3, H, W), normalised. What leaves the valid range is cut.
    """
    kernel = _sharpening(images.device, factor)
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = _convolve(images, kernel.expand(len(images), 3, 3))
    return clamp_normalised(out)


@functools.cache
def _sharpening(device: torch.device, factor: float) -> Tensor:
    """Return the (3, 3) kernel, which is kept on the device for the reason of `_imagenet`."""
    kernel = torch.ones(3, 3)
    kernel[1, 1] = 5
    kernel *= (1 - factor) / 13
    kernel[1, 1] += factor
    return kernel.to(device)


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
