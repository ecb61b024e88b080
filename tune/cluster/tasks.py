"""Functions that run on certain nodes of a cluster, and what Ray says where one cannot."""

from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


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
