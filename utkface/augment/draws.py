"""How strongly each face may be changed, and one random draw of it for every face of a batch.

Two strengths meet in one batch. The basic one is what `TrainConfig` says. The intensive one, for
the extra draws of oversampled groups, is one after the reference's intensive pipeline times
``intensive_strength``, and never weaker than the basic one in any part. Both are rows of one
table, so that a batch of mixed faces is drawn, and later changed, in one pass.

With ``intensive_pipeline`` "reference" those faces go through that pipeline itself first, as the
reference's code has it, and then through the basic one like all others.
"""

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from utkface.augment.ops import Draws
from utkface.config import TrainConfig

#: After the description of the reference's intensive pipeline: where that names a transform without
#: a number, the number is twice the basic default or torchvision's own default probability.
INTENSIVE = {
    "flip_p": 0.5,
    "rotation_degrees": 20.0,
    "translate": 0.1,
    "scale": 0.2,
    "perspective": 0.3,
    "perspective_p": 0.5,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.4,
    "hue": 0.1,
    "jitter_p": 1.0,
    "grey_p": 0.25,
    "blur_p": 0.0,
    "sharpness_p": 0.5,
    "autocontrast_p": 0.5,
    "noise_std": 0.0,
    "erasing_p": 0.25,
}
PARTS = tuple(INTENSIVE)

#: The intensive pipeline of the reference's code. It turns as of `reference_turns`, sharpens by
#: `REFERENCE_SHARPNESS`, and erases after the basic pipeline.
REFERENCE_PIPELINE = dict.fromkeys(PARTS, 0.0) | {
    "flip_p": 0.7,
    "rotation_degrees": 20.0,
    "perspective": 0.4,
    "perspective_p": 0.175,
    "brightness": 0.35,
    "contrast": 0.2,
    "saturation": 0.3,
    "hue": 0.3,
    "jitter_p": 1.0,
    "grey_p": 0.25,
    "sharpness_p": 0.4,
    "autocontrast_p": 0.4,
}
REFERENCE_SHARPNESS = 3.5
_REFERENCE_ERASING_P = 0.175

#: Where the intensive pipeline stops growing before the field's own limit: nothing flips more than
#: half of the time, and from 2/3 on a perspective can fold the picture over itself.
_STRONGEST = {"flip_p": 0.5, "perspective": 0.6}

BLUR_SIGMA = (0.1, 2.0)  # pixels, of a 5 × 5 kernel
ERASING_AREA = (0.02, 0.33)  # share of the picture; this and the next are torchvision's defaults
ERASING_RATIO = (0.3, 3.3)  # height to width, uniform in its logarithm

_NUM_UNIFORMS = 29


def strength_table(config: TrainConfig) -> Tensor:
    """Return the (2, len(PARTS)) strengths: row 0 basic, row 1 intensive, columns as `PARTS`.

    Without oversampling nobody is intensive, and both rows are the basic one.
    """
    basic = {name: float(getattr(config, name)) for name in PARTS}
    intensive = dict(basic)
    if config.oversample_by != "none" and config.intensive_pipeline == "reference":
        intensive["erasing_p"] = _REFERENCE_ERASING_P  # all else has been done by then
    elif config.oversample_by != "none":
        fields = {spec.name: spec for spec in dataclasses.fields(config)}
        for name, value in INTENSIVE.items():
            limit = _STRONGEST.get(name, fields[name].metadata["high"])
            intensive[name] = max(basic[name], min(config.intensive_strength * value, limit))
    return torch.tensor([list(basic.values()), list(intensive.values())])


def draw(table: Tensor, intensive: Tensor, side: int, generator: torch.Generator) -> Draws:
    """Draw what happens to each face of a batch.

    table: from `strength_table`, and intensive: (B,) bool, both on the generator's device; side:
    the pictures' height and width in pixels. The generator is asked for the same numbers whatever
    the strengths are, so that changing one part leaves the draws of the others as they were.
    """
    num = len(intensive)
    strength = dict(zip(PARTS, table[intensive.long()].unbind(1), strict=True))  # each (B,)
    uniforms = torch.rand(num, _NUM_UNIFORMS, generator=generator, device=generator.device)
    column = iter(uniforms.unbind(1))

    def happens(name: str) -> Tensor:
        return next(column) < strength[name]

    def signed(name: str) -> Tensor:
        return (2 * next(column) - 1) * strength[name]

    flip, rotation_degrees = happens("flip_p"), signed("rotation_degrees")
    translate = torch.stack([signed("translate"), signed("translate")], 1)
    scale = 1 + signed("scale")
    corners = torch.stack([next(column) for _ in range(8)], 1) * strength["perspective"][:, None]
    perspective = (corners * happens("perspective_p")[:, None]).view(num, 4, 2)
    autocontrast, jitter, grey = happens("autocontrast_p"), happens("jitter_p"), happens("grey_p")
    brightness, contrast, saturation = (
        1 + jitter * signed(name) for name in ("brightness", "contrast", "saturation")
    )
    hue = jitter * signed("hue")
    blur_sigma = happens("blur_p") * _between(next(column), *BLUR_SIGMA)
    sharpen = happens("sharpness_p")
    erase_box = _erase_box(happens("erasing_p"), side, column)
    return Draws(
        flip=flip,
        rotation_degrees=rotation_degrees,
        translate=translate,
        scale=scale,
        perspective=perspective,
        autocontrast=autocontrast,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation * ~grey,
        hue=hue,
        blur_sigma=blur_sigma,
        sharpen=sharpen,
        erase_box=erase_box,
    )


def reference_turns(num: int, generator: torch.Generator) -> Tensor:
    """Draw (B,) degrees: by 35 for a fifth of the faces, and within ±20 for another fifth."""
    is_turned, is_rotated, angle = torch.rand(
        num, 3, generator=generator, device=generator.device
    ).unbind(1)
    return 35.0 * (is_turned < 0.2) + (is_rotated < 0.2) * _between(angle, -20.0, 20.0)


def draw_noise(table: Tensor, intensive: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Draw (B, 3, side, side) normal noise with each face's own standard deviation."""
    std = table[intensive.long(), PARTS.index("noise_std")]
    shape = (len(intensive), 3, side, side)
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return noise.mul_(std[:, None, None, None])


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * uniform


def _erase_box(happens: Tensor, side: int, column: Iterator[Tensor]) -> Tensor:
    """Draw boxes of torchvision's areas and ratios, cut to the picture where they would not fit."""
    area = side**2 * _between(next(column), *ERASING_AREA)
    ratio = _between(next(column), *map(math.log, ERASING_RATIO)).exp()
    height = (area * ratio).sqrt().round().clamp(max=side) * happens
    width = (area / ratio).sqrt().round().clamp(max=side) * happens
    top = (next(column) * (side - height + 1)).floor()
    left = (next(column) * (side - width + 1)).floor()
    return torch.stack([top, left, height, width], 1)
