"""Asynchronous successive halving, ASHA (https://arxiv.org/abs/1810.05934)."""

from collections.abc import Sequence

from tune.stopping.rule import Curves, StoppingRule


def rungs(max_epochs: int, grace_epochs: int, reduction_factor: int) -> list[int]:
    """Return the epochs after which trials are judged: grace, grace·η, … below ``max_epochs``."""
    epochs = []
    rung = grace_epochs
    while rung < max_epochs:
        epochs.append(rung)
        rung *= reduction_factor
    return epochs


def passes_rung(value: float, earlier: Sequence[float], reduction_factor: int) -> bool:
    """Say whether a value is among the best 1/η of a rung, with those that arrived ``earlier``."""
    num_passing = max(1, (len(earlier) + 1) // reduction_factor)
    return sum(other <= value for other in earlier) < num_passing


class Asha(StoppingRule):
    """Stop a trial at a rung unless it is among the best 1/η of those that reached it before.

    The first trial at a rung passes. With fewer than η earlier arrivals a trial passes if it is
    the best so far.
    """

    def __init__(self, max_epochs: int, grace_epochs: int, reduction_factor: int) -> None:
        self.epochs = rungs(max_epochs, grace_epochs, reduction_factor)
        self.reduction_factor = reduction_factor

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        earlier = [c[epoch] for other, c in curves.items() if other != number and epoch in c]
        return not passes_rung(curves[number][epoch], earlier, self.reduction_factor)
