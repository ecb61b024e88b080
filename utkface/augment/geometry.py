"""Flip, perspective, rotation, scale and translation as one homography and one sampling a face.

Coordinates are `torch.nn.functional.grid_sample`'s with ``align_corners=False``: the picture's
edges lie at -1 and 1, x grows to the right and y downwards. A homography maps a point of the new
picture to where its colour comes from in the old one. Colours are interpolated bilinearly; what
lies outside the old picture is its reflection, which leaves no black corners for the network to
learn from.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from utkface.augment.draws import Draws

#: A perspective strong enough to show the horizon divides by zero there; this keeps it finite.
_NEAREST = 0.05


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
