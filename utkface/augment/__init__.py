"""Batched augmentation, after torchvision's transforms with one pass for all geometry.

`torchvision.transforms.v2` draws once for a whole batch (pytorch/vision#8484), and transforming
faces one by one costs more than a training step. Here every face of a batch has its own draw, all
geometry is one sampling and all colour one matrix.
"""

from utkface.augment.augmenter import Augmenter
from utkface.augment.ops import normalise

__all__ = ["Augmenter", "normalise"]
