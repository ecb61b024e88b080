"""From the options of a command to a Ray that is ready for its trials: here or on a cluster.

The code travels with the job: a cluster's nodes need its dependencies, not the project.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from tune.cluster.nodes import Weights, prepare_nodes
from tune.cluster.resources import Resources, largest, plan_resources
from tune.cluster.storage import check_storage
from tune.options import REPOSITORY, Options
from utkface.config import TrainConfig
from utkface.data import Faces
from utkface.io import UserError

CONNECT_TIMEOUT_S = 45  # a healthy one answers in 3; a machine at its limit needs 30 to ask
CLIENT_ATTEMPTS, CLIENT_PAUSE_S = 3, 5
#: On this machine the faces are mapped from disk. Ray's usual 30 % of the memory for its object
#: store would be taken from trials; it holds labels and weights, some megabytes.
LOCAL_STORE_BYTES = 256 * 2**20
#: How Ray's error begins where a head was reached but could not start a server for a client.
_NO_CLIENT_SERVER = "Initialization failure from server"
#: What Ray's errors say where a cluster asks for a token and ours is missing or another one.
_TOKEN_WORDS = ("AuthToken", "authentication token")

_PACKAGES = ("tune", "utkface", "search_spaces")
#: Nothing but Python's own files: no faces, caches, results or environment lie in a package.
_EXCLUDES = ["__pycache__", "*.pyc", "*.npy", "*.pt", "*.pth"]


@dataclass(frozen=True)
class Joined:
    """A Ray that trials can run on."""

    dashboard: str | None  # its URL
    resources: Resources
    images_ref: list[ray.ObjectRef]  # see `tune.execution.trainable.TrialJob`


def join(
    stack: ExitStack,
    options: Options,
    faces: Faces,
    weights: Weights,
    configs: Sequence[TrainConfig],
    say: Callable[[str], None] = print,
) -> Joined:
    """Connect until the stack ends, check every node of a cluster, and plan what trials get.

    ``configs`` are examples of what trials will train. Raises `UserError` for what cannot work, so
    call it before anything is written.
    """
    check_results(options.results)
    if options.storage is not None:
        check_storage(options.storage)
    stack.callback(ray.shutdown)
    dashboard = connect(options.address)
    images_ref = []
    if options.address is not None:  # else all there is is this machine, which has everything
        checkpoints = options.storage or str(options.results.resolve())
        images_ref = prepare_nodes(faces, weights, configs[0], checkpoints)
    resources = plan_resources(
        options.cpus_per_trial,
        options.gpus_per_trial,
        options.concurrency,
        largest(configs),
        faces.images.shape,
        # Mapped by all trials of a node; Ray has set aside what its object store holds.
        shared_bytes=0 if images_ref else faces.images.nbytes,
    )
    if resources.remark:
        say(resources.remark)
    return Joined(dashboard, resources, images_ref)


def connect(address: str | None) -> str | None:
    """Start Ray here, or join the cluster at ``address``; return the dashboard's URL if it has one.

    A cluster gets this project's code with the job; here workers import it where it lies. Ray binds
    the dashboard to localhost. Raises `UserError` within a minute where no cluster answers.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        context = ray.init(
            address="local",
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            object_store_memory=LOCAL_STORE_BYTES,
            **quiet,
        )
    else:
        _check_reachable(address)
        context = _init(address, runtime_env=job_code(), **quiet)
    url = context.dashboard_url
    return f"http://{url}" if url else None


def job_code(root: Path = REPOSITORY) -> dict[str, Any]:
    """Return Ray's runtime environment that takes the project's packages to every worker.

    A user's own space stays behind: configurations are made by the driver, and travel as numbers.
    In a job that was submitted with the project as its working folder the workers have it already.
    """
    if _is_jobs_copy(root):
        return {}
    return {"py_modules": [str(root / name) for name in _PACKAGES], "excludes": _EXCLUDES}


def check_results(results: Path, root: Path = REPOSITORY) -> None:
    """Refuse to keep results in a file, or in the copy of the code that `ray job submit` unpacks.

    Ray deletes that copy when it needs the room, and it is hard to find until then.
    """
    if results.exists() and not results.is_dir():
        raise UserError(f"the results folder {results} is a file; name a folder with --results")
    if _is_jobs_copy(root) and results.resolve().is_relative_to(root):
        raise UserError(
            f"--results {results} lies in the submitted job's own copy of the code, which Ray "
            "deletes; name a folder that stays, such as /home/ray/results"
        )


@contextlib.contextmanager
def staged_here() -> Iterator[None]:
    """Let Ray Tune's loop run in this process also where Ray is a client (``ray://``).

    Tune stages its logs in the session folder of the node that it runs on. A client is on none, and
    Tune would go to the cluster for it, away from the study and the run folder; so it gets a
    temporary folder of this machine. Ray has no public way to say so. This is the project's only
    use of what is private to Ray; it was tried with 2.60.0, and a test of `staged_in` is the first
    to fail where a newer Ray has moved it.
    """
    if not ray.util.client.ray.is_connected():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="utkface-ray-") as folder, staged_in(folder):
        yield


@contextlib.contextmanager
def staged_in(folder: str) -> Iterator[None]:
    """Let Ray Tune stage its logs in a folder, and not where the node's Ray session lies."""
    from ray.train._internal import storage

    rays_own = storage._get_ray_train_session_dir
    storage._get_ray_train_session_dir = lambda: folder
    try:
        yield
    finally:
        storage._get_ray_train_session_dir = rays_own


def _init(address: str, **options: Any) -> Any:
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


def _is_jobs_copy(root: Path) -> bool:
    """Tell whether a folder is where Ray unpacked a submitted job's working folder."""
    return "runtime_resources" in root.parts
