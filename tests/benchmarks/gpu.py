"""What does this machine's card do with the training that a trial is made of?

Run: ``python tests/benchmarks/gpu.py [--out FOLDER] [SECTION ...]``, on a machine with a CUDA card;
only what `utkface` needs has to be installed, and no faces: pixels are random. Prints a table for
each section and writes them all to FOLDER/gpu.json.

- ``steps``: images per second of one trial, by size and batch, with and without CUDA graphs and
  ``torch.compile``, fp16 and bf16.
- ``trials``: images per second of 1 to 16 trials at a time, each a process, with MPS and without.
- ``epoch``: what an epoch of UTKFace spends on validation and on BatchNorm's statistics.
- ``reference``: the reference's way (Pillow, torchvision, one process for the card and 16 that
  augment) at 224 px on the same card, and ours.
"""

import argparse
import functools
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.multiprocessing as mp
from PIL import Image

from utkface.batches import TrainingData
from utkface.config import TrainConfig
from utkface.training import Training

NUM_STEPS = 30
SECONDS_TOGETHER = 2.0


Row = dict[str, Any]


@functools.cache
def random_faces(num: int, size: int, num_val: int = 0) -> TrainingData:
    """Return faces of noise; the first ``num_val`` are to validate on."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num, size, size, 3), dtype=np.uint8)
    age, gender, race = (rng.integers(0, top, num) for top in (100, 2, 5))
    rows = np.arange(num)
    return TrainingData(images, age, gender, race, rows[num_val:], rows[:num_val])


def make_training(size: int, batch: int, *, graphs: bool = True, **values: Any) -> Training:
    """Return a training on the card whose epoch has `NUM_STEPS` steps of one size."""
    config = TrainConfig(image_size=size, batch_size=batch, epochs=50, **values)
    faces = random_faces(1024, size)
    data = replace(faces, train=np.resize(faces.train, batch * NUM_STEPS))
    training = Training(config, data, weights="none", device="cuda")
    if not graphs:  # every kernel is called by itself
        training._gradients.NUM_WARM_UP = 10**9
    return training


def steps(
    sizes: Sequence[int] = (64, 128, 200, 224),
    batches: Sequence[int] = (128, 256, 512),
    *,
    with_compile: bool = True,
) -> Iterator[Row]:
    """Measure one trial's training."""
    for size, batch in itertools.product(sizes, batches):
        yield measure_step("graph, bf16", size, batch)
    for size in sizes:
        yield measure_step("eager, bf16", size, 256, graphs=False)
        yield measure_step("graph, fp16", size, 256, amp="fp16")
    if with_compile:
        yield measure_step("eager, bf16, compiled", sizes[-1], 256, compiled=True, graphs=False)
        yield measure_step("graph, bf16, compiled", sizes[-1], 256, compiled=True)


def measure_step(way: str, size: int, batch: int, *, compiled: bool = False, **given: Any) -> Row:
    """Train three short epochs in one way; of the last two the faster counts."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    row: Row = {"way": way, "pixels": size, "batch": batch}
    try:
        training = make_training(size, batch, **given)
        if compiled:
            training.model.forward = torch.compile(training.model.forward)
        training.run_epoch()
        rate = max(training.run_epoch()["images_per_s"] for _ in range(2))
    except Exception as error:  # a way that does not work is a result
        return row | {"error": f"{type(error).__name__}: {error}"[:200]}
    peak = torch.cuda.max_memory_allocated() / 2**30
    return row | {"images_per_s": round(rate), "peak_gib": round(peak, 2)}


def _trial(sizes: Sequence[int], batch: int, barrier: Any, results: Any) -> None:
    """Train for some time at each size beside others, from a common start."""
    torch.set_num_threads(1)
    for size in sizes:
        training = make_training(size, batch)
        training.run_epoch()
        barrier.wait()
        start_s, num = time.perf_counter(), 0
        while time.perf_counter() - start_s < SECONDS_TOGETHER:
            training.run_epoch()
            num += len(training.data.train)
        results.put((size, num / (time.perf_counter() - start_s)))
        del training
        torch.cuda.empty_cache()
        barrier.wait()


def trials(
    counts: Sequence[int] = (1, 2, 4, 8, 16), sizes: Sequence[int] = (64, 128, 200)
) -> Iterator[Row]:
    """Measure several trials at a time, each a process, together."""
    for mps, count in itertools.product((False, True), counts):
        row: Row = {"trials": count, "MPS": mps, "batch": 128}
        try:
            with daemon() if mps else nullcontext():
                found = _together(count, sizes, row["batch"])
            row |= {f"images/s at {size} px": round(rate) for size, rate in found.items()}
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}"[:200]
        yield row


def _together(count: int, sizes: Sequence[int], batch: int) -> dict[int, float]:
    """Return the sum of so many trials' images per second, by size."""
    context = mp.get_context("spawn")
    barrier, results = context.Barrier(count), context.Queue()
    given = (sizes, batch, barrier, results)
    processes = [context.Process(target=_trial, args=given, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    sums = dict.fromkeys(sizes, 0.0)
    try:
        for _ in range(count * len(sizes)):
            size, rate = results.get(timeout=60)
            sums[size] += rate
    finally:
        for process in processes:
            process.join(timeout=1)
            process.kill()
    return sums


@contextmanager
def daemon() -> Iterator[None]:
    """Have NVIDIA's Multi-Process Service share the card among processes that begin meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CUDA_MPS_PIPE_DIRECTORY"] = os.environ["CUDA_MPS_LOG_DIRECTORY"] = folder
        control = ["nvidia-cuda-mps-control"]
        subprocess.run([*control, "-d"], check=True)
        try:
            yield
        finally:
            subprocess.run(control, input=b"quit\n", timeout=20, check=False)
            del os.environ["CUDA_MPS_PIPE_DIRECTORY"], os.environ["CUDA_MPS_LOG_DIRECTORY"]


def epoch() -> Iterator[Row]:
    """Measure what an epoch of UTKFace's size spends beside its steps."""
    for size, batch in ((64, 128), (128, 128), (200, 256)):
        config = TrainConfig(image_size=size, batch_size=batch)
        faces = random_faces(18_964, size, 3_793)
        training = Training(config, faces, weights="none", device="cuda")
        training.run_epoch()
        metrics = training.run_epoch()
        steps_s = len(training.data.train) / metrics["images_per_s"]
        yield {
            "pixels": size,
            "batch": batch,
            "epoch_s": round(metrics["time_s"], 3),
            "share_beside_steps": round(1 - steps_s / metrics["time_s"], 3),
        }
        random_faces.cache_clear()
        del training, faces
        torch.cuda.empty_cache()


def reference() -> list[Row]:
    """Compare the reference's pipeline with ours on one card at 224 px, batch 256."""
    import reference_pipeline as theirs

    size, batch = 224, 256
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for index in range(1024):
            pixels = rng.integers(0, 256, (25, 25, 3), dtype=np.uint8)
            name = f"{index % 90}_{index % 2}_{index % 5}_2017010100000{index:04}.jpg.chip.jpg"
            Image.fromarray(pixels).resize((200, 200)).save(Path(folder) / name)
        faces = theirs.ReferenceFaces(sorted(Path(folder).glob("*.jpg")), size)
        rate = theirs.reference_rate(faces, 16, batch, device="cuda", num_steps=16)
    config = theirs.CONFIG.to_dict() | {"image_size": size, "batch_size": batch, "epochs": 50}
    values = {name: value for name, value in config.items() if name not in ("image_size", "epochs")}
    training = make_training(size, values.pop("batch_size"), **values)
    training.run_epoch()
    ours = max(training.run_epoch()["images_per_s"] for _ in range(2))
    return [
        {"way": "reference, 16 workers, fp16", "pixels": size, "images_per_s": round(rate)},
        {
            "way": "ours",
            "pixels": size,
            "images_per_s": round(ours),
            "ratio": round(ours / rate, 2),
        },
    ]


SECTIONS: dict[str, Callable[[], Iterable[Row]]] = {
    "steps": steps,
    "epoch": epoch,
    "reference": reference,
    "trials": trials,
}
#: The most telling part of a section, in a fifth of the time.
QUICK = {
    "steps": functools.partial(steps, (64, 200), (128, 256), with_compile=False),
    "trials": functools.partial(trials, (8,), (64, 200)),
}


def main() -> None:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=" ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="fewer sizes, batches and trials")
    parser.add_argument("--out", type=Path, help="a folder for gpu.json")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"unknown section {min(unknown)}; allowed: {', '.join(SECTIONS)}")
    if not torch.cuda.is_available():
        raise SystemExit("error: PyTorch sees no CUDA card here; run this on a machine with one")
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
    card = torch.cuda.get_device_properties(0)
    found: dict[str, Any] = {
        "card": card.name,
        "memory_gib": round(card.total_memory / 2**30, 1),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "config": asdict(TrainConfig()),
    }
    print(f"{found['card']}, torch {found['torch']}, {found['cores']} cores", flush=True)
    sections = SECTIONS | QUICK if given.quick else SECTIONS
    for name in given.sections or SECTIONS:
        start_s, rows = time.perf_counter(), []
        for row in sections[name]():
            rows.append(row)
            if given.out:  # whoever stops this keeps what was measured
                (given.out / "gpu.json").write_text(json.dumps(found | {name: rows}, indent=1))
        found[name] = rows
        print(f"\n{name} ({time.perf_counter() - start_s:.0f} s)")
        print(pd.DataFrame(rows).fillna("").to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
