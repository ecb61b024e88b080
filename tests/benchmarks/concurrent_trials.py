"""Two concurrent one-thread trials against one: how much more do two cores train?

    python tests/benchmarks/concurrent_trials.py [--data FACES] [--image-size 128] [--rounds 5]

Each trial is a process of its own with one thread, as in a search on a laptop. One alone and two at
once take turns; the figure is the images per second of both together, as a multiple of one alone.
"""

import argparse
import dataclasses
import multiprocessing
import statistics

import torch
from common import load, spread

from utkface.config import TrainConfig
from utkface.training import Training

NUM_IMAGES = 512


def train_on_demand(data: str, image_size: int, seed: int, orders, answers) -> None:
    """Train an epoch of some hundred faces for every order; answer with its images per second."""
    torch.set_num_threads(1)
    faces = load(data, image_size)
    few = dataclasses.replace(faces, train=faces.train[:NUM_IMAGES], val=faces.val[:1])
    config = TrainConfig(image_size=image_size, seed=seed, epochs=1000)
    training = Training(config, few, weights="none")
    training.run_epoch()
    answers.put(0.0)
    while orders.get():
        answers.put(training.run_epoch()["images_per_s"])


def main() -> None:
    """Start two workers, let one train and then both, several times, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    workers = []
    for seed in range(2):
        orders, answers = context.Queue(), context.Queue()
        arguments = (options.data, options.image_size, seed, orders, answers)
        process = context.Process(target=train_on_demand, args=arguments, daemon=True)
        process.start()
        answers.get()
        workers.append((orders, answers, process))

    alone, together, ratios = [], [], []
    for round_ in range(options.rounds):
        orders, answers, _ = workers[round_ % 2]
        orders.put(True)
        alone.append(answers.get())
        for orders, _, _ in workers:
            orders.put(True)
        together.append(sum(answers.get() for _, answers, _ in workers))
        ratios.append(together[-1] / alone[-1])
    for orders, _, process in workers:
        orders.put(False)
        process.join()
    print(f"one trial alone:     {statistics.median(alone):6.0f} images/s")
    print(f"two trials together: {statistics.median(together):6.0f} images/s")
    print(f"ratio: {spread(ratios)}")


if __name__ == "__main__":
    main()
