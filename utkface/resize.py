"""Progressive resizing: the first epochs train on smaller images, and so cost less.

What the network learns early it learns from coarse shapes, which a quarter of the pixels show as
well. Tan and Le, EfficientNetV2, 2021, section 4.2, https://arxiv.org/abs/2104.00298
"""

from torch import Tensor
from torchvision.transforms.v2 import functional

from utkface.config import TrainConfig

#: Share of the epochs over which the images grow; the rest has their full size.
GROWING_SHARE = 2 / 3
#: The backbone halves its input five times: other sizes would leave part of a cell at the edge.
STRIDE = 32


def training_size(config: TrainConfig, epoch: int) -> int:
    """Return the side in pixels of the images that epoch ``epoch`` (0 is the first) trains on."""
    first, last = config.initial_image_size, config.image_size
    num_growing = int(GROWING_SHARE * config.epochs)
    if first == 0 or epoch >= num_growing:
        return last
    side = first + (last - first) * epoch / num_growing
    return min(last, max(first, STRIDE * round(side / STRIDE)))


def shrink(images: Tensor, side: int) -> Tensor:
    """Return images (B, 3, S, S) uint8 at another side, themselves where it is their own."""
    if images.shape[-1] == side:
        return images
    return functional.resize(images, [side, side], antialias=True)
