"""Joining Ray: on this machine or on a cluster, quickly, or with a line that says why not."""

import socket
import subprocess
import sys
import time
from typing import Any

import ray

from tune.cluster.job_code import job_code
from utkface.io import UserError

CONNECT_TIMEOUT_S = 45  # a healthy one answers in 3; a machine at its limit needs 30 to ask
CLIENT_ATTEMPTS, CLIENT_PAUSE_S = 3, 5
#: How Ray's error begins where a head was reached but could not start a server for a client.
_NO_CLIENT_SERVER = "Initialization failure from server"
#: What Ray's errors say where a cluster asks for a token and ours is missing or another one.
_TOKEN_WORDS = ("AuthToken", "authentication token")


def connect(address: str | None) -> str | None:
    """Start Ray here, or join the cluster at ``address``; return the dashboard's URL if it has one.

    A cluster gets this project's code with the job; here workers import it where it lies. Ray binds
    the dashboard to localhost. Raises `UserError` within a minute where no cluster answers.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        context = ray.init(
            address="local", include_dashboard=True, dashboard_host="127.0.0.1", **quiet
        )
    else:
        _check_reachable(address)
        context = _join(address, runtime_env=job_code(), **quiet)
    url = context.dashboard_url
    return f"http://{url}" if url else None


def _join(address: str, **options: Any) -> Any:
    """Return Ray's context of a cluster that was seen to be there.

    A busy head may fail to start the server process that it gives to each client; it is asked
    again a few times, as the next attempt gets another process.
    """
    for attempt in range(1, CLIENT_ATTEMPTS + 1):
        try:
            return ray.init(address=address, **options)
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            if attempt == CLIENT_ATTEMPTS or _NO_CLIENT_SERVER not in str(error):
                raise _unreachable(address, str(error)) from error
            time.sleep(CLIENT_PAUSE_S)
    raise AssertionError


def _check_reachable(address: str) -> None:
    """Raise `UserError` unless a cluster answers; Ray itself would go on trying for minutes."""
    if address != "auto":
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
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=CONNECT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, f"no answer in {CONNECT_TIMEOUT_S} s") from error
    if answer.returncode != 0:
        asks_for_token = any(word in answer.stdout + answer.stderr for word in _TOKEN_WORDS)
        reason = _TOKEN_WORDS[0] if asks_for_token else "no healthy Ray head answers there"
        raise _unreachable(address, reason)


def _unreachable(address: str, reason: str) -> UserError:
    if any(word in reason for word in _TOKEN_WORDS):
        return UserError(
            f"the Ray cluster at --address {address} asks for a token, and none or another one is "
            "here; put what `ray get-auth-token` prints on its head into RAY_AUTH_TOKEN or "
            "~/.ray/auth_token"
        )
    # Ray's client server keeps silent where the token is wrong.
    token = ", and the token the right one (RAY_AUTH_TOKEN)" if address.startswith("ray://") else ""
    lines = [line.strip() for line in reason.splitlines() if line.strip()] or ["no reason given"]
    # Where a head sends its traceback, what went wrong stands at the end.
    told = lines[-1] if lines[0].startswith(_NO_CLIENT_SERVER) else lines[0]
    return UserError(
        f"no Ray cluster at --address {address} ({told}); is its head running, "
        f"the port open{token}? without --address the search runs on this machine"
    )
