"""What is done to a search: a small cluster whose parts can be killed, and damaged files."""

import contextlib
import os
import random
import signal
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

#: What can be done, and to a search of Ray's own only the first.
DRIVER, WORKER, NODE, TRUNCATE, FLIP = "driver", "worker", "node", "truncated file", "flipped bytes"
KINDS = (DRIVER, WORKER, NODE, TRUNCATE, FLIP)


class SmallCluster:
    """A head and a second node on this machine, one CPU each; the second can be lost."""

    def __init__(self) -> None:
        with socket.socket() as probe:  # Ray's own port may be taken by another cluster
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        head = {
            "num_cpus": 1, "object_store_memory": 80 << 20,
            "include_dashboard": False, "dashboard_port": port,
        }  # fmt: skip
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._node = self._add_node()

    @property
    def address(self) -> str:
        """Where drivers join."""
        return str(self._cluster.address)

    def lose_node(self) -> None:
        """Kill the second node with all its workers, and put another one in its place."""
        self._cluster.remove_node(self._node, allow_graceful=False)
        self._node = self._add_node()

    def _add_node(self) -> Any:
        return self._cluster.add_node(num_cpus=1, object_store_memory=80 << 20)

    def close(self) -> None:
        """End all its processes."""
        self._cluster.shutdown()


def kill_driver(process: BaseProcess) -> None:
    """Kill the search's own process."""
    process.kill()
    process.join()


def kill_worker(pid: int | None) -> None:
    """Kill the process that trained an epoch last, if it still lives."""
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def truncate_newest(folder: Path, chance: random.Random) -> str:
    """Cut the file that was written last at a random place; return its name in the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    os.truncate(newest, chance.randrange(newest.stat().st_size))
    return str(newest.relative_to(folder))


def flip_bytes(folder: Path, chance: random.Random) -> str:
    """Change three bytes of the journal or of its copy; return the file's name in the folder."""
    path = chance.choice(sorted(folder.rglob("study.journal")))
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[chance.randrange(len(content))] ^= chance.randint(1, 255)
    path.write_bytes(content)
    return str(path.relative_to(folder))


def plan(num_kills: int, chance: random.Random) -> list[str]:
    """Return what will be done, in its order: every kind about equally often."""
    kinds = [KINDS[i % len(KINDS)] for i in range(num_kills)]
    chance.shuffle(kinds)
    return kinds
