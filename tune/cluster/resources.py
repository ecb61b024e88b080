"""What each trial gets of the machine or cluster, and how many run at a time."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from utkface.io import UserError

#: What `ray up` leaves on the head of a cluster that grows while trials wait, and shrinks again.
AUTOSCALER_CONFIG = Path("~/ray_bootstrap_config.yaml")


@dataclass(frozen=True)
class Resources:
    """What each trial gets, and how many run at a time."""

    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int


def plan_resources(
    cpus_per_trial: float | None,
    gpus_per_trial: float | None,
    concurrency: int | None,
    trials_per_gpu: Callable[[], int] = lambda: 1,
) -> Resources:
    """Fill in what was not asked for from what the cluster has.

    Without GPUs: one CPU per trial and as many trials as CPUs, because two one-thread trials beat
    one two-thread trial by 1.3. With GPUs: as many trials per card as ``trials_per_gpu``, which is
    asked only then, finds to fit, and the CPUs shared among them. More trials at a time than fit
    wait for a cluster that can grow. Raises `UserError` when a trial needs more than there is.
    """
    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    if gpus_per_trial is None:
        gpus_per_trial = 1 / trials_per_gpu() if gpus else 0.0
    if gpus_per_trial > gpus:
        raise _too_many("--gpus-per-trial", gpus_per_trial, gpus)
    gpu_slots = int(gpus / gpus_per_trial + 1e-6) if gpus_per_trial else None
    if cpus_per_trial is None:
        cpus_per_trial = max(1.0, cpus // gpu_slots) if gpu_slots else 1.0
    if cpus_per_trial > cpus:
        raise _too_many("--cpus-per-trial", cpus_per_trial, cpus)
    slots = int(cpus / cpus_per_trial)
    if gpu_slots is not None:
        slots = min(slots, gpu_slots)
    if concurrency is None or not may_grow():
        concurrency = min(concurrency or slots, slots)
    return Resources(cpus_per_trial, gpus_per_trial, concurrency)


def may_grow() -> bool:
    """Tell whether the cluster starts nodes while trials wait, or in place of those it lost."""
    return AUTOSCALER_CONFIG.expanduser().exists()


def hardware() -> dict[str, Any]:
    """Return what the cluster has, for the record."""
    total = ray.cluster_resources()
    return {
        "nodes": sum(node["Alive"] for node in ray.nodes()),
        "cpus": total.get("CPU", 0),
        "gpus": total.get("GPU", 0),
        "memory_gib": round(total.get("memory", 0) / 2**30, 1),
        "accelerators": [
            key.removeprefix("accelerator_type:") for key in total if key.startswith("accelerator")
        ],
    }


def describe(resources: Resources) -> dict[str, Any]:
    """Return what the cluster has and what each trial gets of it."""
    return {
        "machine": platform.machine(),
        **hardware(),
        "concurrency": resources.concurrency,
        "cpus_per_trial": resources.cpus_per_trial,
        "gpus_per_trial": resources.gpus_per_trial,
    }


def _too_many(flag: str, wish: float, there_are: float) -> UserError:
    kind = "GPUs" if "gpu" in flag else "CPUs"
    return UserError(
        f"{flag} {wish:g} asks for more than the {there_are:g} {kind} there are; "
        "leave it out for what fits"
    )
