"""How near does training from the disk cache come to training on one batch that is already there?

Run: ``OMP_NUM_THREADS=1 python tests/benchmarks/training_step.py [--data FACES]``. One thread, CPU,
128 pixels, the default configuration with the reference's oversampling. Both sides take the same
step; one side gathers random faces from the packed cache and augments them, the other is handed the
same finished batch every time. Aim: a ratio of at least 0.85.
"""

import argparse
import os

import numpy as np
import torch
from common import compare, load

from utkface.batches import TrainingData
from utkface.config import TrainConfig
from utkface.training import Training

CONFIG = TrainConfig(image_size=128, oversample_by="age", oversample_extra=0.1)


class Stepper:
    """Takes one training step per call, on rows drawn anew as a trial draws them."""

    def __init__(self, data: TrainingData) -> None:
        self.training = Training(CONFIG, data, weights="none")
        self.training.model.train()
        self.rng = np.random.default_rng(0)
        self.intensive_share = self.training.sampling.epoch(0)[1].mean()

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Return random rows, and which of them get the intensive augmentation."""
        rows = self.rng.choice(self.training.data.train, CONFIG.batch_size)
        return rows, self.rng.random(len(rows)) < self.intensive_share

    def __call__(self) -> None:
        """Take one step."""
        rows, intensive = self.draw()
        self.training._train_step(rows, torch.from_numpy(rows), torch.from_numpy(intensive))

    def on_one_batch(self) -> "Stepper":
        """Have it train on one augmented batch for ever."""
        training, (rows, intensive) = self.training, self.draw()
        uint8 = training.images.gather(rows)
        ready = training.augmenter(uint8, torch.from_numpy(intensive), torch.Generator())
        training.images.gather = lambda *rows: uint8
        training.augmenter = lambda *arguments: ready
        return self


def main() -> None:
    """Compare both in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("UTKFACE_DATA", "demo"))
    data = load(parser.parse_args().data, CONFIG.image_size)
    torch.set_num_threads(1)
    compare(
        Stepper(data),
        Stepper(data).on_one_batch(),
        rounds=15,
        num_images=CONFIG.batch_size,
        names=("from the disk cache, augmented", "one batch in memory"),
    )


if __name__ == "__main__":
    main()
