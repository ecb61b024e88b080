"""What benchmarks share: faces to train on, and two ways of doing one thing timed side by side.

A busy machine slows both ways alike.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from utkface.batches import TrainingData
from utkface.data import load_faces


def load(source: str | Path, size: int) -> TrainingData:
    """Return all faces of a source, every tenth for validation."""
    faces = load_faces(source, size)
    labels = [faces.table[name].to_numpy() for name in ("age", "gender", "race")]
    rows = np.arange(len(faces.table))
    return TrainingData(faces.images, *labels, rows[rows % 10 > 0], rows[::10])


def time_s(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(
    a: Callable[[], object],
    b: Callable[[], object],
    rounds: int,
    *,
    num_images: int,
    names: tuple[str, str],
) -> None:
    """Call a and b in turn, print both speeds and how many times as fast as b a is.

    Each call works on ``num_images`` images; both are called once before the clock runs. The ratio
    is the median of the rounds'.
    """
    a()
    b()
    times = [(time_s(a), time_s(b)) for _ in range(rounds)]
    for name, of_one in zip(names, zip(*times, strict=True), strict=True):
        rate = num_images / statistics.median(of_one)
        print(f"{name:>40}: {rate:8,.0f} images/s, median of {rounds}")
    print(f"{'ratio':>40}: {spread([b_s / a_s for a_s, b_s in times])}")


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median of some measurements, and the lowest and the highest."""
    found = statistics.median(values), min(values), max(values)
    return "{} ({} to {})".format(*(f"{value:.{digits}f}" for value in found))
