"""Makes the pictures of drawn faces that README shows: ``python tests/pictures.py``.

`demo_faces.png`: one face for each of some ages. `augmentation.png`: the same faces as they are,
then with our basic augmentation, the reference's, and the intensive one.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from search_spaces.common import REFERENCE
from utkface.augment import Augmenter
from utkface.augment.ops import IMAGENET_MEAN, IMAGENET_STD
from utkface.config import TrainConfig
from utkface.data import load_faces

PICTURES = Path(__file__).resolve().parents[1] / "results" / "pictures"
AGES = (1, 6, 12, 20, 30, 40, 50, 60, 70, 80, 90, 100)
SIDE, NUM_AUGMENTED = 128, 8


def main() -> None:
    """Draw both pictures."""
    faces = load_faces("demo", SIDE)
    ages = faces.table["age"].to_numpy()
    rows = [int(np.abs(ages - age).argmin()) for age in AGES]
    images = np.asarray(faces.images[rows])
    save(images.reshape(2, -1, SIDE, SIDE, 3), "demo_faces.png")

    batch = torch.from_numpy(images[2 : 2 + NUM_AUGMENTED]).permute(0, 3, 1, 2)
    pipelines = [
        (TrainConfig(), False),
        (TrainConfig.from_dict({**REFERENCE, "oversample_by": "none"}), False),
        (TrainConfig(oversample_by="age"), True),
    ]
    augmented = [
        in_colour(
            Augmenter(config)(
                batch, torch.full((len(batch),), intensive), torch.Generator().manual_seed(0)
            )
        )
        for config, intensive in pipelines
    ]
    save(np.stack([batch.permute(0, 2, 3, 1).numpy(), *augmented]), "augmentation.png")


def in_colour(normalised: torch.Tensor) -> np.ndarray:
    """Return normalised images (B, 3, S, S) as pixels (B, S, S, 3)."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    pixels = (normalised * std + mean).clamp(0, 1) * 255
    return pixels.round().byte().permute(0, 2, 3, 1).numpy()


def save(grid: np.ndarray, name: str) -> None:
    """Write a grid (rows, columns, S, S, 3) of images as one picture."""
    num_rows, num_columns = grid.shape[:2]
    whole = grid.transpose(0, 2, 1, 3, 4).reshape(num_rows * SIDE, num_columns * SIDE, 3)
    Image.fromarray(whole).quantize(128).save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()
