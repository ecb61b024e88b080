"""A cluster's nodes: functions that run on each, and a look at what it lacks before a search."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune.cluster.storage import DRIVER, Probe, check_storage
from utkface.config import TrainConfig
from utkface.data import Faces
from utkface.data.pack import open_packed
from utkface.data.sources import cache_folder
from utkface.io import UserError, replacing

#: What `ray up` leaves on the head of a cluster that grows while trials wait, and shrinks again.
AUTOSCALER_CONFIG = Path("~/ray_bootstrap_config.yaml")
#: A node has so long to start a worker, import PyTorch, and download weights where it has none.
LOOK_TIMEOUT_S = 300


def may_grow() -> bool:
    """Tell whether the cluster starts nodes while trials wait, or in place of those it lost."""
    return AUTOSCALER_CONFIG.expanduser().exists()


def title_of(node: dict[str, Any]) -> str:
    """Return what messages call a node, one of `ray.nodes`."""
    return f"{node['NodeManagerAddress']}-{node['NodeID'][:8]}"


def start_on(
    nodes: Iterable[dict[str, Any]],
    function: Callable[..., Any],
    arguments: Callable[[str], tuple[Any, ...]],
    *,
    num_gpus: int = 0,
) -> dict[str, ray.ObjectRef]:
    """Start a function on each node at once; return its results to come, by the node's title.

    ``arguments`` returns what the function is given on the node with a title. It takes none of a
    node's CPUs, which may all be in use.
    """
    remote = ray.remote(num_cpus=0, num_gpus=num_gpus, max_retries=0)(function)
    tasks = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        title = title_of(node)
        tasks[title] = remote.options(scheduling_strategy=there).remote(*arguments(title))
    return tasks


def last_line(error: BaseException) -> str:
    """Return the last line of what Ray says of a task's error: the error itself."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


@dataclass(frozen=True)
class Weights:
    """What `build_model` takes for weights, wherever it runs: a file's content travels along."""

    name: str  # "imagenet", "none" or the path of a file on the driver's machine
    content: bytes | None = field(repr=False)

    @classmethod
    def read(cls, name: str) -> Self:
        """Return weights by their name or path, the latter made absolute."""
        if name in ("imagenet", "none"):
            return cls(name, None)
        path = Path(name).resolve()
        return cls(str(path), path.read_bytes())

    @property
    def fingerprint(self) -> str | None:
        """What tells a file's content from another's; None for weights without a file."""
        return None if self.content is None else hashlib.sha256(self.content).hexdigest()[:16]

    def here(self) -> str:
        """Return the name or a path on this machine, where the content is written if need be."""
        if self.content is None:
            return self.name
        path = Path(self.name)
        if path.is_file() and path.read_bytes() == self.content:
            return self.name
        path = cache_folder() / "weights" / f"{self.fingerprint}.pth"
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.write_bytes(self.content)
        return str(path)


@dataclass(frozen=True)
class Wanted:
    """What every node is to have for a search; travels to each of them."""

    probe: Probe
    images_path: Path
    images_shape: tuple[int, ...]
    weights: Weights
    config: TrainConfig  # of any trial, to try the weights with


@dataclass(frozen=True)
class Seen:
    """What a node found when it looked."""

    storage_problem: str | None
    weights_problem: str | None
    has_faces: bool


def look(wanted: Wanted, name: str) -> Seen:
    """Try the storage, the faces and the weights from this machine, which is called ``name``."""
    from utkface.model import build_model  # here, as it runs on the nodes alone

    storage_problem = weights_problem = None
    try:
        wanted.probe.leave(name)
        if not wanted.probe.sees(DRIVER):
            storage_problem = "what the driver wrote is not there"
    except Exception as error:  # of whichever client the URI asks for
        storage_problem = " ".join(str(error).split())
    try:
        build_model(wanted.config, wanted.weights.here())
    except UserError as error:
        weights_problem = str(error)
    has_faces = open_packed(wanted.images_path, wanted.images_shape) is not None
    return Seen(storage_problem, weights_problem, has_faces)


def prepare_nodes(
    faces: Faces, weights: Weights, config: TrainConfig, uri: str
) -> list[ray.ObjectRef]:
    """Check that every node can take part, and share the faces with those that have none.

    Return the packed faces in the object store, in a list, or an empty list where every node has
    them on its disk, and will. Raises `UserError` that names the nodes which cannot reach the
    checkpoints under ``uri``, load the weights, or hold the faces.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    check_storage(uri)
    probe = Probe(uri)
    try:
        probe.leave(DRIVER)
        wanted = Wanted(probe, faces.path, faces.images.shape, weights, config)
        seen = _look_everywhere(nodes, wanted)
        blind = [
            f"{title} ({report.storage_problem or 'what it wrote is not here'})"
            for title, report in seen.items()
            if report.storage_problem or not probe.sees(title)
        ]
    finally:
        with contextlib.suppress(OSError):
            probe.remove()
    if blind:
        raise UserError(
            f"checkpoints in {uri} are out of reach for {'; '.join(blind)}; give --storage a "
            "folder or URI that every node reads and writes (NFS, s3://, gs://)"
        )
    for title, report in seen.items():
        if report.weights_problem:
            raise UserError(f"node {title}: {report.weights_problem}")
    without = [node for node in nodes if not seen[title_of(node)].has_faces]
    return share_faces(faces, without) if without or may_grow() else []


def share_faces(faces: Faces, nodes: list[dict[str, Any]]) -> list[ray.ObjectRef]:
    """Put the faces into the object store for nodes that have no copy; one each, for all trials."""
    needed = faces.images.nbytes
    here = ray.get_runtime_context().get_node_id()
    for node in [*nodes, *(node for node in ray.nodes() if node["NodeID"] == here)]:
        room = node["Resources"].get("object_store_memory", 0)
        if needed > room:
            raise UserError(
                f"the faces ({_size(needed)} at {faces.images.shape[1]} px) do not fit into the "
                f"object store of node {title_of(node)} ({_size(room)}), and not every node has "
                f"them on its disk; start nodes with --object-store-memory {int(needed * 1.2)}, or "
                "set UTKFACE_CACHE to a folder that all nodes share, or lower --image-size"
            )
    return [ray.put(np.asarray(faces.images))]


def _look_everywhere(nodes: list[dict[str, Any]], wanted: Wanted) -> dict[str, Seen]:
    """Let every node look at the same time; return what each saw, by its title."""
    tasks = start_on(nodes, look, lambda title: (wanted, title))
    ray.wait(list(tasks.values()), num_returns=len(tasks), timeout=LOOK_TIMEOUT_S)
    seen = {}
    for title, task in tasks.items():
        try:
            seen[title] = ray.get(task, timeout=0)
        except (ray.exceptions.RayError, TimeoutError) as error:
            raise UserError(
                f"node {title} cannot run trials ({type(error).__name__}: {last_line(error)}); "
                "its Ray logs say more; mend it or take it out of the cluster"
            ) from error
    return seen


def _size(num_bytes: float) -> str:
    gib = num_bytes / 2**30
    return f"{gib:.1f} GiB" if gib >= 1 else f"{1024 * gib:.1f} MiB"
