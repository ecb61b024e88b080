"""Ray on one machine or on a cluster: joining it, and fitting the trials to it.

Nothing here imports another part of `tune` but the options that say where trials run.
"""

from tune.cluster.join import Joined, connect, join, staged_here
from tune.cluster.nodes import Weights, prepare_nodes
from tune.cluster.resources import Resources, hardware, plan_resources

__all__ = [
    "Joined",
    "Resources",
    "Weights",
    "connect",
    "hardware",
    "join",
    "plan_resources",
    "prepare_nodes",
    "staged_here",
]
