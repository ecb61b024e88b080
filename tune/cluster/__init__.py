"""Ray on one machine or on a cluster: joining it, and fitting the trials to it."""

from tune.cluster.connect import connect
from tune.cluster.resources import Resources, describe, hardware, plan_resources

__all__ = ["Resources", "connect", "describe", "hardware", "plan_resources"]
