"""Batched augmentation, after torchvision's transforms with one pass for all geometry.

`torchvision.transforms.v2` draws once for a whole batch (pytorch/vision#8484), and transforming
faces one by one costs more than a training step. Here every face of a batch, basic and intensive
ones mixed, has its own draw, all geometry is one sampling and all colour one matrix.
"""

import dataclasses
import functools
from collections.abc import Callable

import torch
from torch import Tensor

from utkface.augment.draws import (
    PARTS,
    REFERENCE_PIPELINE,
    REFERENCE_SHARPNESS,
    draw,
    draw_noise,
    reference_turns,
    strength_table,
)
from utkface.augment.ops import (
    SHARPNESS,
    Draws,
    add_noise,
    blur,
    erase,
    homography,
    normalise,
    recolour,
    sample,
    sharpen,
    to_pixels,
)
from utkface.config import TrainConfig

__all__ = ["Augmenter", "normalise"]

_GEOMETRY = ("flip_p", "rotation_degrees", "translate", "scale")
_JITTER = ("brightness", "contrast", "saturation", "hue")

#: On the CPU so few pictures go through all steps before the next ones that they stay in its cache,
#: which is 1.7 times as fast as whole batches of 128. The result is the same.
_NUM_CPU_TOGETHER = 16


class Augmenter:
    """Change each face of a batch in its own random way, on the batch's own device.

    Parts that the configuration can never draw cost nothing: what is on is decided here, once.
    """

    sharpness = SHARPNESS

    def __init__(self, config: TrainConfig) -> None:
        is_reference = config.intensive_pipeline == "reference" and config.oversample_by != "none"
        self._first = ReferencePipeline() if is_reference else None
        self._table = strength_table(config)
        on = dict(zip(PARTS, (self._table > 0).any(0).tolist(), strict=True))
        self._perspective = on["perspective"] and on["perspective_p"]
        self._geometry = self._perspective or any(on[name] for name in _GEOMETRY)
        jitter = on["jitter_p"] and any(on[name] for name in _JITTER)
        self._autocontrast = on["autocontrast_p"]
        self._colour = jitter or on["grey_p"] or self._autocontrast
        self._blur, self._sharpness = on["blur_p"], on["sharpness_p"]
        self._noise, self._erasing = on["noise_std"], on["erasing_p"]

    @torch.no_grad()
    def __call__(self, images: Tensor, intensive: Tensor, generator: torch.Generator) -> Tensor:
        """Augment and normalise a batch.

        images: (B, 3, S, S) uint8; intensive: (B,) bool, who gets the intensive strength; the
        generator is on the images' device. Returns (B, 3, S, S) float32, channels_last, normalised
        by ImageNet's mean and spread.
        """
        assert images.dtype == torch.uint8, images.dtype
        if self._table.device != images.device:
            self._table = self._table.to(images.device)
        if self._first is not None:
            images = self._first.change(images, intensive, generator)
        side = images.shape[-1]
        draws = draw(self._table, intensive, side, generator)
        noise = draw_noise(self._table, intensive, side, generator) if self._noise else None
        return self.apply(images, draws, noise)

    def apply(self, images: Tensor, draws: Draws, noise: Tensor | None = None) -> Tensor:
        """Do what was drawn, as `__call__` does."""
        out = torch.empty_like(images, dtype=torch.float32, memory_format=torch.channels_last)
        size = _NUM_CPU_TOGETHER if images.device.type == "cpu" else max(len(images), 1)
        for start in range(0, len(images), size):
            rows = slice(start, start + size)
            part = None if noise is None else noise[rows]
            out[rows] = self._apply(images[rows], draws[rows], part)
        return out

    def _apply(self, images: Tensor, draws: Draws, noise: Tensor | None) -> Tensor:
        """Change colour, geometry, blur, sharpness, noise and erasing, in this order."""
        if self._colour:
            pixels = images.to(torch.float32, memory_format=torch.contiguous_format)
            pixels = recolour(pixels, draws, autocontrast=self._autocontrast)
        else:
            pixels = normalise(images)
        if self._geometry:
            matrix = homography(draws, projective=self._perspective)
            pixels = sample(pixels, matrix, projective=self._perspective)
        if self._blur:
            pixels = _where_drawn(draws.blur_sigma > 0, blur, pixels, draws.blur_sigma)
        if self._sharpness:
            pixels = _where_drawn(
                draws.sharpen, functools.partial(sharpen, factor=self.sharpness), pixels
            )
        if noise is not None:
            pixels = add_noise(pixels, noise)
        if self._erasing:
            pixels = erase(pixels, draws.erase_box)
        return pixels


class ReferencePipeline(Augmenter):
    """The reference's intensive pipeline on some faces of a batch, from pixels to pixels.

    All colour is still one matrix and all geometry one sampling, in the order of `Augmenter`, and
    what lies outside a picture is its reflection, where the reference has black.
    """

    sharpness = REFERENCE_SHARPNESS

    def __init__(self) -> None:
        super().__init__(TrainConfig.from_dict(REFERENCE_PIPELINE))

    def change(self, images: Tensor, intensive: Tensor, generator: torch.Generator) -> Tensor:
        """Return the batch (B, 3, S, S) uint8 with the faces changed that are ``intensive``."""
        self._table = self._table.to(images.device)
        draws = dataclasses.replace(
            draw(self._table, intensive, images.shape[-1], generator),
            rotation_degrees=reference_turns(len(images), generator),
        )
        return _where_drawn(
            intensive, lambda some, how: to_pixels(self.apply(some, how)), images.clone(), draws
        )


def _where_drawn(
    drawn: Tensor, change: Callable[..., Tensor], images: Tensor, *parameters: Tensor | Draws
) -> Tensor:
    """Apply a change to the pictures that drew it.

    The CPU works on those alone. Finding them would make the host wait for CUDA, which changes all
    of them instead and keeps the ones that drew it.
    """
    if images.device.type == "cuda":
        return torch.where(drawn[:, None, None, None], change(images, *parameters), images)
    rows = drawn.nonzero()[:, 0]
    if len(rows):
        images[rows] = change(images[rows], *(parameter[rows] for parameter in parameters))
    return images
