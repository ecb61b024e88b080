"""How many trials share a card: decided from its memory and what one trial was measured to take."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from utkface.config import TrainConfig
from utkface.io import UserError
from utkface.training import Training, TrainingData

#: More trials than this on one card only take each other's bandwidth.
MAX_TRIALS_PER_GPU = 4
#: CUDA's own memory per process (context, kernels, cuDNN), which PyTorch's count leaves out.
CONTEXT_BYTES = 700 * 2**20
#: Share of a card to plan with: allocators fragment, and cuDNN tries several algorithms.
USABLE_SHARE = 0.9
MEASURE_TIMEOUT_S = 300
#: MiB per image that a backbone keeps for the backward pass, measured at 128 px in float32.
_ACTIVATIONS = {"mobilenet_v3_small": 7.1, "mobilenet_v3_large": 19.9, "efficientnet_b0": 35.8}


@dataclass(frozen=True)
class CardUse:
    """A card's memory, and how much of it PyTorch took for one trial, in bytes."""

    card_bytes: int
    trial_bytes: int


def trials_per_card(uses: Iterable[CardUse]) -> int:
    """Return how many trials fit on each of the cards; 1 where not even one does.

    Such a trial fails with a hint, and smaller ones of the same search do not.
    """
    fits = (int(use.card_bytes * USABLE_SHARE) // (use.trial_bytes + CONTEXT_BYTES) for use in uses)
    return max(1, min(MAX_TRIALS_PER_GPU, *fits))


def largest(configs: Sequence[TrainConfig]) -> TrainConfig:
    """Return the configuration that needs most memory, all of it at work from the first epoch."""
    config = max(configs, key=lambda c: c.batch_size * _ACTIVATIONS[c.backbone])
    return config.replace(initial_image_size=0, freeze_epochs=0)


def measure_cards(config: TrainConfig, images_shape: Sequence[int]) -> list[CardUse]:
    """Train a few steps on one card of every node that has any; return what was used.

    Raises `UserError` where a node cannot: its PyTorch sees no card, or others keep it busy.
    """
    tasks = {}
    remote_measure = ray.remote(num_gpus=1, num_cpus=0, max_retries=0)(measure_here)
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("GPU"):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            measuring = remote_measure.options(scheduling_strategy=there)
            address = f"{node['NodeManagerAddress']}-{node['NodeID'][:8]}"
            tasks[address] = measuring.remote(config, tuple(images_shape))
    uses = []
    for address, task in tasks.items():
        try:
            uses.append(ray.get(task, timeout=MEASURE_TIMEOUT_S))
        except (ray.exceptions.RayError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[-1] or type(error).__name__
            raise UserError(
                f"no trial could be measured on a GPU of node {address} ({reason}); "
                "say with --gpus-per-trial what one needs, 0 for none"
            ) from error
    return uses


def measure_here(config: TrainConfig, images_shape: tuple[int, ...]) -> CardUse:
    """Train an epoch of two batches beside all images of a search; return the memory used."""
    import torch

    if not torch.cuda.is_available():
        raise UserError("PyTorch sees no CUDA device there")
    num_train, num_val = 2 * config.batch_size, config.batch_size
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
    return CardUse(card_bytes, trial_bytes)
