"""Weights & Biases: one run per trial and one per search, all of a search in one group.

The search never waits for W&B and never fails with it. Every call to wandb happens in one
background thread; the search only leaves it tasks.
"""

from tune.tracking.mode import MODES, resolve_mode, sync_command
from tune.tracking.runs import DEFAULT_PROJECT
from tune.tracking.tracker import WandbTracker

__all__ = ["DEFAULT_PROJECT", "MODES", "WandbTracker", "resolve_mode", "sync_command"]
