"""Random numbers that depend on the seed and the epoch alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def epoch_rng(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator that all randomness of one epoch comes from; 0 is before the first."""
    return np.random.default_rng([seed, epoch])


def torch_seed(rng: np.random.Generator) -> int:
    """Draw a seed for one of torch's generators."""
    return int(rng.integers(2**63 - 1))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the block, and put them back as they were after it.

    Layers such as dropout draw from nowhere else.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
