"""Rules of early stopping that lost against ASHA on the curves and left the product for it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from statistics import fmean, median

from tune.study.stopping import Curves, passes_rung, rungs


class StoppingRule(ABC):
    """Says after which of its epochs a trial is stopped, as `tune.study.stopping.Asha` does."""

    epochs: Sequence[int] = ()

    def stops(self, curves: Curves, number: int) -> bool:
        """Say whether trial ``number`` is to stop after the last epoch of its curve."""
        epoch = max(curves[number])
        return epoch in self.epochs and self._judge(curves, number, epoch)

    @abstractmethod
    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        """Say whether to stop a trial after one of the rule's epochs."""


class Hyperband(StoppingRule):
    """Several ASHA brackets side by side, each with one rung fewer at its start than the last.

    A trial belongs to a bracket by its number alone, and is compared within it alone.
    """

    def __init__(self, max_epochs: int, grace_epochs: int, reduction_factor: int) -> None:
        self.epochs = rungs(max_epochs, grace_epochs, reduction_factor)
        self.reduction_factor = reduction_factor
        num_skipped = range(len(self.epochs) + 1)  # rungs left out: all of them in the last bracket
        self.brackets = [self.epochs[skipped:] for skipped in num_skipped]
        self._cycle = _share_out(bracket_sizes(len(self.brackets), reduction_factor))

    def bracket_of(self, number: int) -> int:
        """Return the index in ``brackets`` of a trial's."""
        return self._cycle[number % len(self._cycle)]

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        bracket = self.bracket_of(number)
        if epoch not in self.brackets[bracket]:
            return False
        earlier = [
            curve[epoch]
            for other, curve in curves.items()
            if other != number and epoch in curve and self.bracket_of(other) == bracket
        ]
        return not passes_rung(curves[number][epoch], earlier, self.reduction_factor)


def bracket_sizes(num_brackets: int, reduction_factor: int) -> list[int]:
    """Return how many trials begin in each bracket of one round, as the paper has it.

    By these numbers every bracket costs about the same, since those judged early end early.
    """
    halvings = range(num_brackets - 1, -1, -1)
    return [math.ceil(num_brackets / (s + 1) * reduction_factor**s) for s in halvings]


def _share_out(sizes: list[int]) -> list[int]:
    """Return the bracket of each trial of a round, so that even a short search meets all kinds."""
    given = [0] * len(sizes)
    order = []
    for _ in range(sum(sizes)):
        # The bracket furthest behind its share; the one judged earliest where they tie.
        bracket = min(range(len(sizes)), key=lambda i: (given[i] + 1) / sizes[i])
        given[bracket] += 1
        order.append(bracket)
    return order


#: With fewer other trials at an epoch, their median says little.
MIN_TRIALS = 3


class Median(StoppingRule):
    """Stop a trial whose best value is worse than the median trial's average up to that epoch.

    It asks after every epoch from ``grace_epochs`` on. An average lags behind a falling curve, so
    only trials that are clearly poor are stopped.
    """

    def __init__(self, max_epochs: int, grace_epochs: int) -> None:
        self.epochs = range(grace_epochs, max_epochs)

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        averages = [
            fmean(self._judged_values(curve, epoch))
            for other, curve in curves.items()
            if other != number and epoch in curve
        ]
        if len(averages) < MIN_TRIALS:
            return False
        return min(self._judged_values(curves[number], epoch)) > median(averages)

    def _judged_values(self, curve: Mapping[int, float], epoch: int) -> list[float]:
        return [value for e, value in curve.items() if self.epochs[0] <= e <= epoch]
