"""How much faster is one batch at once than torchvision's transforms, image by image?

Run: ``OMP_NUM_THREADS=1 python tests/benchmarks/augmentation.py``. One thread, 128 pixels, random
pictures. The torchvision pipelines draw from the same ranges with the same probabilities.
"""

import torch
from timing import compare
from torchvision.transforms import v2

from utkface.augment import Augmenter
from utkface.augment.draws import INTENSIVE
from utkface.augment.ops import IMAGENET_MEAN, IMAGENET_STD, SHARPNESS
from utkface.config import TrainConfig

NUM_IMAGES, SIDE = 128, 128


def torchvision_pipeline(part: dict) -> v2.Compose:
    """Build the per-image pipeline of the parts that are on, colour first as in ours."""
    jitter = [part[name] for name in ("brightness", "contrast", "saturation", "hue")]
    shift = (part["translate"],) * 2
    zoom = (1 - part["scale"], 1 + part["scale"])
    bilinear = v2.InterpolationMode.BILINEAR
    steps = [
        (part["autocontrast_p"], v2.RandomAutocontrast(part["autocontrast_p"])),
        (part["jitter_p"], v2.RandomApply([v2.ColorJitter(*jitter)], part["jitter_p"])),
        (part["grey_p"], v2.RandomGrayscale(part["grey_p"])),
        (part["flip_p"], v2.RandomHorizontalFlip(part["flip_p"])),
        (part["perspective"], v2.RandomPerspective(part["perspective"], part["perspective_p"])),
        (1, v2.RandomAffine(part["rotation_degrees"], shift, zoom, interpolation=bilinear)),
        (part["sharpness_p"], v2.RandomAdjustSharpness(SHARPNESS, part["sharpness_p"])),
        (1, v2.ToDtype(torch.float32, scale=True)),
        (1, v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)),
        (part["erasing_p"], v2.RandomErasing(part["erasing_p"])),
    ]
    return v2.Compose([step for is_on, step in steps if is_on])


def main() -> None:
    """Compare the default basic pipeline, then the intensive one for every face."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    packed = torch.randint(0, 256, (NUM_IMAGES, SIDE, SIDE, 3), dtype=torch.uint8)
    batch = packed.permute(0, 3, 1, 2)  # as it comes out of the packed cache
    images = list(batch.contiguous())  # torchvision is at its fastest on contiguous images

    for title, config, is_intensive, parts in (
        ("basic", TrainConfig(), False, TrainConfig().to_dict()),
        ("intensive", TrainConfig(oversample_by="age"), True, INTENSIVE),
    ):
        augmenter = Augmenter(config)
        intensive = torch.full((NUM_IMAGES,), is_intensive)
        pipeline = torchvision_pipeline(parts)
        compare(
            lambda augmenter=augmenter, rows=intensive: augmenter(batch, rows, generator),
            lambda pipeline=pipeline: torch.stack([pipeline(image) for image in images]),
            num_images=NUM_IMAGES,
            names=(f"{title}, batch at once", f"{title}, torchvision per image"),
        )


if __name__ == "__main__":
    main()
