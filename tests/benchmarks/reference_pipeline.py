"""How much faster than the reference's way of training is ours, on the same two cores?

Run: ``python tests/benchmarks/reference_pipeline.py [--data FOLDER]``; a folder of UTKFace's JPEGs,
by default UTKFACE_DATA, else demo faces. The reference: one process of two threads, whose
DataLoader decodes with Pillow and augments image by image with torchvision v2; it is tried with one
worker and with two, and the better one counts. Ours: two trials of one thread each, from the
packed cache. The same network, batch, size and ranges of augmentation. Aim: at least 2.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch
from common import load
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from utkface.augment.ops import IMAGENET_MEAN, IMAGENET_STD
from utkface.config import TrainConfig
from utkface.data.demo import write_demo_faces
from utkface.data.labels import parse_name
from utkface.model import build_model
from utkface.training import Training

NUM_STEPS, ROUNDS, WORKER_COUNTS = 6, 3, (1, 2)
#: The reference's published basic augmentation and loss.
CONFIG = TrainConfig(
    image_size=128,
    age_loss="l1",
    gender_weight=0.9,
    head_l1=1e-4,
    flip_p=0.0,
    translate=0.0,
    scale=0.0,
    perspective=0.2,
    hue=0.1,
    ema_decay=0.0,
)


class ReferenceFaces(Dataset):
    """Faces as the reference reads them: one JPEG at a time, augmented one at a time."""

    def __init__(self, paths: list[Path], size: int = CONFIG.image_size) -> None:
        self.paths = paths
        self.labels = [parse_name(path.name) for path in paths]
        self.transform = v2.Compose(
            [
                v2.Resize((size, size)),
                v2.RandomPerspective(CONFIG.perspective, p=CONFIG.perspective_p),
                v2.RandomRotation(CONFIG.rotation_degrees),
                v2.ColorJitter(CONFIG.brightness, CONFIG.contrast, CONFIG.saturation, CONFIG.hue),
                v2.RandomGrayscale(CONFIG.grey_p),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
                v2.RandomErasing(CONFIG.erasing_p),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        with Image.open(self.paths[index]) as image:
            pixels = self.transform(image.convert("RGB"))
        return pixels, self.labels[index].age, self.labels[index].gender


def reference_rate(
    faces: ReferenceFaces,
    num_workers: int,
    batch_size: int = CONFIG.batch_size,
    *,
    device: str = "cpu",
    num_steps: int = NUM_STEPS,
) -> float:
    """Return the images per second of the reference's training, once it is under way."""
    torch.set_num_threads(2)
    model = build_model(CONFIG, "none").train().to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=CONFIG.max_lr)
    on_card = device != "cpu"
    scaler = torch.amp.GradScaler(device, enabled=on_card)
    num_first = 2 + 2 * num_workers  # what the workers made ahead of time does not count
    indices = torch.arange((num_first + num_steps) * batch_size) % len(faces)
    loader = DataLoader(
        faces, batch_size, sampler=indices.tolist(), num_workers=num_workers, pin_memory=on_card
    )
    for step, (images, age, gender) in enumerate(loader):
        if step == num_first:
            start_s = time.perf_counter()
        images, age, gender = (values.to(device) for values in (images, age, gender))
        with torch.autocast(device, dtype=torch.float16, enabled=on_card):
            outputs = model(images)
            loss = 0.9 * F.cross_entropy(outputs.gender_logits, gender)
            loss = loss + 0.1 * F.l1_loss(outputs.age_output[:, 0], age.float())
        scaler.scale(loss + CONFIG.head_l1 * model.heads_l1()).backward()
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
    if on_card:
        torch.cuda.synchronize()
    return num_steps * batch_size / (time.perf_counter() - start_s)


class Trial:
    """One of our trials, in a process of its own that meets the others before each measurement."""

    training: Training
    barrier: Barrier

    @classmethod
    def set_up(cls, folder: Path, barrier: Barrier) -> None:
        """Build the training; runs once in each process."""
        torch.set_num_threads(1)
        data = load(folder, CONFIG.image_size)
        cls.training, cls.barrier = Training(CONFIG, data, weights="none"), barrier

    @classmethod
    def run(cls, _: int) -> float:
        """Return how long some steps take while the other process takes as many."""
        rng = np.random.default_rng(0)
        intensive = torch.zeros(CONFIG.batch_size, dtype=torch.bool)
        cls.training.model.train()
        cls.barrier.wait()
        start_s = time.perf_counter()
        for _ in range(NUM_STEPS):
            rows = rng.choice(cls.training.data.train, CONFIG.batch_size)
            cls.training._train_step(rows, torch.from_numpy(rows), intensive)
        return time.perf_counter() - start_s


def compare(folder: Path) -> None:
    """Measure both in turn and print the ratio of the medians."""
    faces = ReferenceFaces(sorted(folder.rglob("*.jpg"))[:4096])
    context = multiprocessing.get_context("spawn")
    reference: dict[int, list[float]] = {count: [] for count in WORKER_COUNTS}
    ours = []
    with ProcessPoolExecutor(
        2, context, initializer=Trial.set_up, initargs=(folder, context.Barrier(2))
    ) as trials:
        list(trials.map(Trial.run, range(2)))  # the first steps of a process are slower
        for _ in range(ROUNDS):
            for count in WORKER_COUNTS:
                reference[count].append(reference_rate(faces, count))
            slower_s = max(trials.map(Trial.run, range(2)))
            ours.append(2 * NUM_STEPS * CONFIG.batch_size / slower_s)
    for count, rates in reference.items():
        print(f"reference, {count} workers: {statistics.median(rates):6.0f} images/s")
    print(f"ours, two trials:     {statistics.median(ours):6.0f} images/s")
    best = max(statistics.median(rates) for rates in reference.values())
    print(f"ratio:                {statistics.median(ours) / best:6.2f}")


def main() -> None:
    """Find faces and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("UTKFACE_DATA"))
    folder = parser.parse_args().data
    if folder:
        compare(Path(folder))
        return
    with tempfile.TemporaryDirectory() as temporary:
        write_demo_faces(Path(temporary))
        compare(Path(temporary))


if __name__ == "__main__":
    main()
