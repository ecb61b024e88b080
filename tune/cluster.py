"""Ray on one machine or a cluster: connect quickly or say why not, and fit the trials to it."""

import platform
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import ray

from utkface.errors import UserError

CONNECT_TIMEOUT_S = 20
#: A card takes one trial per so much memory: MobileNetV3-Small at 128 px, batch 256, fp16, needs
#: under 3 GiB, and more than four trials at a time only take each other's bandwidth.
GIB_PER_GPU_TRIAL = 8
MAX_TRIALS_PER_GPU = 4


@dataclass(frozen=True)
class Resources:
    """What each trial gets, and how many run at a time."""

    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int


def connect(address: str | None) -> str | None:
    """Start Ray here, or join the cluster at ``address``; return the dashboard's URL if it has one.

    Raises `UserError` within half a minute where no cluster answers.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        context = ray.init(address="local", include_dashboard=True, **quiet)
    else:
        _check_reachable(address)
        try:
            context = ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            raise _unreachable(address, str(error).splitlines()[0]) from error
    url = context.dashboard_url
    return f"http://{url}" if url else None


def plan_resources(
    cpus_per_trial: float | None, gpus_per_trial: float | None, concurrency: int | None
) -> Resources:
    """Fill in what was not asked for from what the cluster has.

    Without GPUs: one CPU per trial and as many trials as CPUs, because two one-thread trials beat
    one two-thread trial by 1.3. With GPUs: several trials per card where its memory allows, and
    the CPUs shared among them. Raises `UserError` when more is asked for than there is.
    """
    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    if gpus_per_trial is None:
        gpus_per_trial = 1 / _trials_per_gpu() if gpus else 0.0
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
    return Resources(cpus_per_trial, gpus_per_trial, min(concurrency or slots, slots))


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


def _trials_per_gpu() -> int:
    """Return how many trials one of the driver's cards holds; 1 where that cannot be asked."""
    import torch

    if not torch.cuda.is_available():
        return 1
    memory = torch.cuda.get_device_properties(0).total_memory
    return max(1, min(MAX_TRIALS_PER_GPU, memory // (GIB_PER_GPU_TRIAL * 2**30)))


def _check_reachable(address: str) -> None:
    """Raise `UserError` unless a cluster answers; Ray itself would go on trying for minutes."""
    if address.startswith("ray://") or address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit():
            raise UserError(
                f"--address {address!r} is not one; allowed: host:port, auto, ray://host:port"
            )
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise _unreachable(address, error.strerror or str(error)) from error
        if address.startswith("ray://"):
            return
    command = [sys.executable, "-m", "ray.scripts.scripts", "status"]
    if address != "auto":
        command += ["--address", address]
    try:
        healthy = subprocess.run(
            command, capture_output=True, timeout=CONNECT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, f"no answer in {CONNECT_TIMEOUT_S} s") from error
    if healthy.returncode != 0:
        raise _unreachable(address, "no healthy Ray head answers there")


def _too_many(flag: str, wish: float, there_are: float) -> UserError:
    kind = "GPUs" if "gpu" in flag else "CPUs"
    return UserError(
        f"{flag} {wish:g} asks for more than the {there_are:g} {kind} there are; "
        "leave it out for what fits"
    )


def _unreachable(address: str, reason: str) -> UserError:
    return UserError(
        f"no Ray cluster at --address {address} ({reason}); is its head running, and is the port "
        "open? without --address the search runs on this machine"
    )
