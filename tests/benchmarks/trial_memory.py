"""How much main memory does a trial's process take? The figures of `tune.cluster.resources`.

    python tests/benchmarks/trial_memory.py [--data FACES] [--steps 12]

Every configuration trains two short epochs in a fresh Ray worker, as a trial does, with everything
at work: augmentation of each face, weights averaged, statistics and validation at the end. Printed
is the most private memory (RssAnon of /proc/self/status) beside the estimate; the mapped faces are
shared with other trials and do not count. On Linux alone.
"""

import argparse
import itertools
import threading
from pathlib import Path

import numpy as np
import ray

from tune.cluster.resources import private_bytes, trial_bytes
from utkface.config import TrainConfig
from utkface.data import load_faces

MIB = 2**20
CASES = [
    *itertools.product(["mobilenet_v3_small"], [32, 64, 128, 256], [64, 128]),
    *itertools.product(["mobilenet_v3_large", "efficientnet_b0"], [32, 128], [64]),
]


def train(path: Path, config: TrainConfig, num_steps: int) -> tuple[int, int]:
    """Return the private memory of a worker that is ready to train, and the most it then took."""
    import torch

    import tune.execution.trainable  # noqa: F401  # all that a trial's worker has loaded
    from utkface.training import Training, TrainingData

    torch.set_num_threads(1)
    images = np.load(path, mmap_mode="r")
    rows = np.arange(len(images))
    num_train = num_steps * config.batch_size
    data = TrainingData(
        images, rows % 100, rows % 2, rows % 5, train=rows[:num_train], val=rows[-1024:]
    )
    start, peaks, done = private_bytes(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peaks[0] = max(peaks[0], private_bytes())

    threading.Thread(target=watch).start()
    training = Training(config, data, weights="none")
    for _ in range(2):
        training.run_epoch()
    done.set()
    return start, max(peaks[0], private_bytes())


def main() -> None:
    """Measure each case and print it beside what is planned with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    measure = ray.remote(max_calls=1)(train)  # a fresh process each time
    print("backbone             batch  px  ready  peak  planned (MiB)")
    for backbone, batch_size, image_size in CASES:
        faces = load_faces(options.data, image_size)
        config = TrainConfig(
            backbone=backbone, batch_size=batch_size, image_size=image_size, grey_p=0.2,
            blur_p=0.2, sharpness_p=0.2, noise_std=0.05, perspective=0.2, perspective_p=0.5,
        )  # fmt: skip
        ready, peak = ray.get(measure.remote(faces.path, config, options.steps))
        figures = f"{ready / MIB:6.0f}{peak / MIB:6.0f}{trial_bytes(config) / MIB:8.0f}"
        print(f"{backbone:20}{batch_size:6}{image_size:4} {figures}", flush=True)


if __name__ == "__main__":
    main()
