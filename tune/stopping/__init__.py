"""Early stopping: one rule per ``--scheduler``, each a pure function of the epochs on record."""

from tune.stopping.asha import Asha
from tune.stopping.hyperband import Hyperband
from tune.stopping.median import Median
from tune.stopping.rule import NeverStop, StoppingRule

__all__ = ["StoppingRule", "make_rule"]


def make_rule(
    scheduler: str, max_epochs: int, grace_epochs: int, reduction_factor: int
) -> StoppingRule:
    """Return the rule of a name on the command line, for trials of ``max_epochs`` epochs."""
    rules: dict[str, StoppingRule] = {
        "asha": Asha(max_epochs, grace_epochs, reduction_factor),
        "hyperband": Hyperband(max_epochs, grace_epochs, reduction_factor),
        "median": Median(max_epochs, grace_epochs),
        "none": NeverStop(),
    }
    return rules[scheduler]
