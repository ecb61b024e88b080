"""Joining Ray: on this machine or on a cluster, quickly, or with a line that says why not."""

import socket
import subprocess
import sys
from typing import Any

import ray

from utkface.errors import UserError

CONNECT_TIMEOUT_S = 20


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


def _unreachable(address: str, reason: str) -> UserError:
    return UserError(
        f"no Ray cluster at --address {address} ({reason}); is its head running, and is the port "
        "open? without --address the search runs on this machine"
    )
