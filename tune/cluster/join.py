"""From the options of a command to a Ray that is ready for its trials."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ray

from tune.cluster.connect import connect
from tune.cluster.nodes import prepare_nodes
from tune.cluster.resources import Resources, plan_resources
from tune.cluster.weights import Weights
from utkface.data import Faces


class Placement(Protocol):
    """The options of a command that say where its trials run."""

    @property
    def address(self) -> str | None: ...  # noqa: D102
    @property
    def storage(self) -> str | None: ...  # noqa: D102
    @property
    def results(self) -> Path: ...  # noqa: D102
    @property
    def cpus_per_trial(self) -> float | None: ...  # noqa: D102
    @property
    def gpus_per_trial(self) -> float | None: ...  # noqa: D102
    @property
    def concurrency(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True)
class Joined:
    """A Ray that trials can run on."""

    dashboard: str | None  # its URL
    resources: Resources
    images_ref: list[ray.ObjectRef]  # see `tune.trainable.TrialJob`


def join(
    stack: ExitStack, options: Placement, faces: Faces, weights: Weights, fixed: dict[str, Any]
) -> Joined:
    """Connect until the stack ends, check every node of a cluster, and plan what trials get.

    ``fixed`` holds `TrainConfig` fields of any trial. Raises `UserError` for what cannot work, so
    call it before anything is written.
    """
    stack.callback(ray.shutdown)
    dashboard = connect(options.address)
    resources = plan_resources(options.cpus_per_trial, options.gpus_per_trial, options.concurrency)
    images_ref = []
    if options.address is not None:  # else all there is is this machine, which has everything
        images_ref = prepare_nodes(faces, weights, fixed, options.storage, options.results)
    return Joined(dashboard, resources, images_ref)
