"""From the options of a command to a Ray that is ready for its trials."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ray

from tune.checkpoints import CheckpointStore
from tune.cluster.connect import connect
from tune.cluster.gpus import largest, measure_cards, trials_per_card
from tune.cluster.job_code import check_results
from tune.cluster.nodes import prepare_nodes
from tune.cluster.resources import Resources, plan_resources
from tune.cluster.weights import Weights
from utkface.config import TrainConfig
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
    stack: ExitStack,
    options: Placement,
    faces: Faces,
    weights: Weights,
    configs: Sequence[TrainConfig],
) -> Joined:
    """Connect until the stack ends, check every node of a cluster, and plan what trials get.

    ``configs`` are examples of what trials will train. Raises `UserError` for what cannot work, so
    call it before anything is written.
    """
    check_results(options.results)
    if options.storage is not None:
        CheckpointStore(options.storage).check()
    stack.callback(ray.shutdown)
    dashboard = connect(options.address)
    images_ref = []
    if options.address is not None:  # else all there is is this machine, which has everything
        images_ref = prepare_nodes(faces, weights, configs[0], options.storage, options.results)
    resources = plan_resources(
        options.cpus_per_trial,
        options.gpus_per_trial,
        options.concurrency,
        lambda: trials_per_card(measure_cards(largest(configs), faces.images.shape)),
    )
    return Joined(dashboard, resources, images_ref)
