"""Hyperband (https://arxiv.org/abs/1603.06560) with an asynchronous bracket in each place.

How early to judge is a guess: a configuration may be slow at first. Hyperband hedges: most trials
are judged early, some late, a few not at all.
"""

import math

from tune.stopping.asha import passes_rung, rungs
from tune.stopping.rule import Curves, StoppingRule


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
