"""What each trial gets of the machine or cluster, and how many run at a time.

Cores, cards and main memory all limit it. A card is measured by training on it; what a trial takes
of main memory on a CPU is estimated from measurements (`trial_bytes`).
"""

import dataclasses
import functools
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray

from tune.cluster.nodes import last_line, may_grow, start_on
from utkface.backbones import training_bytes
from utkface.config import TrainConfig
from utkface.evaluation.facts import Hardware
from utkface.io import UserError

#: More trials than this on one card only take each other's bandwidth.
MAX_TRIALS_PER_GPU = 4
#: CUDA's own memory per process (context, kernels, cuDNN), which PyTorch's count leaves out.
CONTEXT_BYTES = 700 * 2**20
#: Share of a card, and of a node's free memory, to plan with. A card's allocators fragment, and
#: cuDNN tries several algorithms; Ray ends workers when 95 % of a node's memory are in use.
USABLE_SHARE = 0.9
MEASURE_TIMEOUT_S = 300
#: MiB per image that a backbone keeps for the backward pass, measured at 128 px in float32. That of
#: others is counted (`training_bytes`); what was measured is 1.29 to 1.43 times its count.
_ACTIVATIONS = {"mobilenet_v3_small": 7.1, "mobilenet_v3_large": 19.9, "efficientnet_b0": 35.8}
#: MiB of a worker that has imported everything, and the images' worth beside a batch, see
#: `trial_bytes`.
_READY, _BESIDE_BATCH = 480, 73


@dataclass(frozen=True)
class Resources:
    """What each trial gets, and how many run at a time."""

    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int
    memory_per_trial: int = 0  # bytes; 0: not planned
    remark: str | None = None  # what a person should know of the plan

    @property
    def per_trial(self) -> dict[str, float]:
        """What Ray is to set aside for each trial, by its own names."""
        amounts = self.cpus_per_trial, self.gpus_per_trial, self.memory_per_trial
        wanted = zip(("cpu", "gpu", "memory"), amounts, strict=True)
        return {name: amount for name, amount in wanted if amount}


@dataclass(frozen=True)
class Usage:
    """A card's memory, and what one trial took of it and of the host's, in bytes."""

    card_bytes: int
    trial_bytes: int  # by PyTorch's count
    host_bytes: int = 0  # 0: unknown


@dataclass(frozen=True)
class _Node:
    """What a node has for trials."""

    cpus: float
    gpus: float
    memory: float  # bytes that were free when its Ray began; Ray heeds the limits of cgroups

    def slots(self, resources: Resources, shared_bytes: int) -> int:
        """Return how many trials fit at a time beside what they share."""
        fits = [self.cpus / resources.cpus_per_trial]
        if resources.gpus_per_trial:
            fits.append(self.trials_on_cards(resources.gpus_per_trial))
        if resources.memory_per_trial:
            usable = self.memory * USABLE_SHARE - shared_bytes
            fits.append(max(0.0, usable / resources.memory_per_trial))
        return int(min(fits) + 1e-6)

    def trials_on_cards(self, gpus_per_trial: float) -> int:
        """Return how many trials run on its cards; Ray lays a share of a card on one card."""
        if gpus_per_trial < 1:
            return int(self.gpus) * int(1 / gpus_per_trial + 1e-6)
        return int(self.gpus / gpus_per_trial + 1e-6)

    def cpu_share(self, gpus_per_trial: float) -> float:
        """Return the CPUs of each trial where all that its cards hold share them."""
        if not gpus_per_trial:
            return 1.0
        return max(1.0, self.cpus // self.trials_on_cards(gpus_per_trial))


def plan_resources(
    cpus_per_trial: float | None,
    gpus_per_trial: float | None,
    concurrency: int | None,
    config: TrainConfig | None = None,
    images_shape: Sequence[int] = (),
    shared_bytes: int = 0,
) -> Resources:
    """Fill in what was not asked for from what the nodes have.

    Without GPUs: one CPU per trial and as many trials as CPUs, because two one-thread trials beat
    one two-thread trial by 1.3. With GPUs: as many trials per card as are measured to fit, and the
    CPUs shared among them. No more trials than fit into each node's free memory, beside
    ``shared_bytes`` once. ``config`` is the one that needs most, on images of ``images_shape``;
    without it memory is not looked at. More trials at a time than fit wait for a cluster that can
    grow. Raises `UserError` when a trial needs more than there is.
    """
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = [
        _Node(has["CPU"], has.get("GPU", 0.0), has.get("memory", 0.0))
        for has in alive
        if has.get("CPU")
    ]
    if not nodes:
        raise UserError("no node of the Ray cluster has a CPU for trials yet; wait for its workers")
    most_gpus = max(node.gpus for node in nodes)
    uses: list[Usage] = []
    if gpus_per_trial is None:
        if most_gpus and config is not None:
            uses = measure_cards(config, images_shape)
        gpus_per_trial = 1 / trials_per_card(uses) if most_gpus else 0.0
    if gpus_per_trial > most_gpus:
        raise _too_many("GPUs", gpus_per_trial, most_gpus)
    if gpus_per_trial > 1 and gpus_per_trial % 1:
        raise UserError(
            f"--gpus-per-trial {gpus_per_trial:g} is not possible; allowed: a share of one card, "
            "up to 1, or a whole number"
        )
    nodes = [node for node in nodes if node.gpus >= gpus_per_trial]
    if cpus_per_trial is None:
        cpus_per_trial = min(node.cpu_share(gpus_per_trial) for node in nodes)
    most_cpus = max(node.cpus for node in nodes)
    if cpus_per_trial > most_cpus:
        raise _too_many("CPUs", cpus_per_trial, most_cpus)
    resources = Resources(cpus_per_trial, gpus_per_trial, concurrency or 0)
    num_slots = sum(node.slots(resources, shared_bytes) for node in nodes)
    if concurrency is None or not may_grow():
        concurrency = min(concurrency or num_slots, num_slots)
    resources = dataclasses.replace(resources, concurrency=concurrency)
    if config is None:
        return resources
    on_cpu = trial_bytes(config) if not gpus_per_trial else 0
    memory = max((use.host_bytes for use in uses), default=on_cpu)
    resources = dataclasses.replace(resources, memory_per_trial=memory)
    return _within_memory(resources, nodes, shared_bytes, config)


def _within_memory(
    resources: Resources, nodes: list[_Node], shared_bytes: int, config: TrainConfig
) -> Resources:
    """Lower the concurrency to what fits into memory; raises `UserError` where nothing does."""
    need = f"a trial takes up to {_gib(resources.memory_per_trial)} of main memory"
    largest_free = _gib(max(node.memory for node in nodes))
    num_slots = sum(node.slots(resources, shared_bytes) for node in nodes)
    if num_slots == 0:
        raise UserError(
            f"{need} ({config.backbone}, batch_size {config.batch_size} at {config.image_size} px) "
            f"beside {_gib(shared_bytes)} of faces, and {largest_free} are free; end other "
            "programs, give a smaller --image-size, or a space with a smaller batch_size"
        )
    if num_slots >= resources.concurrency or may_grow():
        return resources
    remark = (
        f"memory allows {num_slots} trials at a time, not {resources.concurrency}: {need}, and "
        f"{largest_free} are free{' on the largest node' if len(nodes) > 1 else ''}"
    )
    return dataclasses.replace(resources, concurrency=num_slots, remark=remark)


def trial_bytes(config: TrainConfig) -> int:
    """Return what a trial's process takes of main memory on a CPU, the shared faces not counted.

    A worker that has imported everything holds 475 MiB of private memory. Beside what a backbone
    keeps of a batch, at most as much as for 73 more images was found: augmentation, validation in
    batches of 256, and freed blocks that were too small to be used again. Measured on x86 Linux
    with one thread and real faces (`tests/benchmarks/trial_memory.py`): MobileNetV3-Small took 645
    to 980 MiB at 64 px with batches of 32 to 256, and 1,030 to 2,380 MiB at 128 px. No trial took
    more than is returned, and some a quarter less.
    """
    images = (config.batch_size + _BESIDE_BATCH) * (config.image_size / 128) ** 2
    per_image, weights = _training_mib(config.backbone)
    return int((_READY + weights + per_image * images) * 2**20)


@functools.cache
def _training_mib(backbone: str) -> tuple[float, float]:
    """Return MiB per image of 128 px, and MiB of weights beyond those of a small network."""
    if backbone in _ACTIVATIONS:
        return _ACTIVATIONS[backbone], 0.0
    per_image, weights = training_bytes(backbone, 128)
    return 1.43 * per_image / 2**20, weights / 2**20


def largest(configs: Sequence[TrainConfig]) -> TrainConfig:
    """Return the configuration that needs most memory, all of it at work from the first epoch."""
    return max(configs, key=trial_bytes).replace(initial_image_size=0, freeze_epochs=0)


def trials_per_card(uses: Iterable[Usage]) -> int:
    """Return how many trials fit on each of the cards; 1 where not even one does.

    Such a trial fails with a hint, and smaller ones of the same search do not.
    """
    fits = [int(use.card_bytes * USABLE_SHARE) // (use.trial_bytes + CONTEXT_BYTES) for use in uses]
    return max(1, min([MAX_TRIALS_PER_GPU, *fits])) if fits else 1


def measure_cards(config: TrainConfig, images_shape: Sequence[int]) -> list[Usage]:
    """Train a few steps on one card of every node that has any; return what was used.

    Raises `UserError` where a node cannot: its PyTorch sees no card, or others keep it busy.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    tasks = start_on(nodes, measure_here, lambda _: (config, tuple(images_shape)), num_gpus=1)
    uses = []
    for title, task in tasks.items():
        try:
            uses.append(ray.get(task, timeout=MEASURE_TIMEOUT_S))
        except (ray.exceptions.RayError, TimeoutError) as error:
            raise UserError(
                f"no trial could be measured on a GPU of node {title} ({last_line(error)}); "
                "say with --gpus-per-trial what one needs, 0 for none"
            ) from error
    return uses


def measure_here(config: TrainConfig, images_shape: tuple[int, ...]) -> Usage:
    """Train an epoch of a few batches beside all images of a search; return the memory used.

    As many as it takes until a step is recorded as a CUDA graph, which has memory of its own.
    """
    import torch

    from utkface.device import GraphedStep
    from utkface.training import Training, TrainingData

    if not torch.cuda.is_available():
        raise UserError("PyTorch sees no CUDA device there")
    num_steps = GraphedStep.NUM_WARM_UP + 2
    num_train, num_val = num_steps * config.batch_size, config.batch_size
    rows = np.arange(num_train + num_val) % images_shape[0]
    age = np.arange(images_shape[0]) % 100
    data = TrainingData(
        images=np.zeros(images_shape, dtype=np.uint8),
        age=age,
        gender=age % 2,
        race=age % 5,
        train=rows[:num_train],
        val=rows[num_train:],
    )
    card_bytes = torch.cuda.get_device_properties(0).total_memory
    try:
        Training(config, data, weights="none", device="cuda").run_epoch()
        trial_bytes = torch.cuda.max_memory_reserved()
    except torch.cuda.OutOfMemoryError:
        trial_bytes = card_bytes
    torch.cuda.empty_cache()
    return Usage(card_bytes, trial_bytes, private_bytes())


def private_bytes() -> int:
    """Return the memory of this process that it shares with no other; 0 where Linux is not."""
    status = Path("/proc/self/status")
    found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def hardware() -> Hardware:
    """Return what the cluster has, and what kind of machine drives it, for the record."""
    total = ray.cluster_resources()
    return Hardware(
        machine=platform.machine(),
        nodes=sum(node["Alive"] for node in ray.nodes()),
        cpus=total.get("CPU", 0),
        gpus=total.get("GPU", 0),
        memory_gib=round(total.get("memory", 0) / 2**30, 1),
        accelerators=[
            key.removeprefix("accelerator_type:") for key in total if key.startswith("accelerator")
        ],
    )


def _too_many(kind: str, wish: float, there_are: float) -> UserError:
    return UserError(
        f"--{kind.lower()}-per-trial {wish:g} asks for more than the {there_are:g} {kind} that a "
        "node has; leave it out for what fits"
    )


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
