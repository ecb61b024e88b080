"""Ray on one machine or on a cluster: joining it, and fitting the trials to it."""

from tune.cluster.client import staged_here
from tune.cluster.connect import connect
from tune.cluster.join import Joined, join
from tune.cluster.nodes import prepare_nodes
from tune.cluster.resources import Resources, describe, hardware, plan_resources
from tune.cluster.weights import Weights

__all__ = [
    "Joined",
    "Resources",
    "Weights",
    "connect",
    "describe",
    "hardware",
    "join",
    "plan_resources",
    "prepare_nodes",
    "staged_here",
]
