"""What every rule of early stopping has in common: it judges by the record and by nothing else.

Ray's schedulers and Optuna's pruners keep state beside the values that the trials reported, and
write it while they decide. A driver killed between that write and the decision comes back with a
trial that has "passed" a rung it was never judged at; one killed later has forgotten its rungs. A
rule here is given the values that had arrived when a trial was judged, so it can be asked again
after a crash, at any later time, with the same outcome.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from statistics import fmean, median

import numpy as np

#: Values, lower is better, by trial number and epoch.
Curves = Mapping[int, Mapping[int, float]]

#: The same for several objectives.
VectorCurves = Mapping[int, Mapping[int, tuple[float, ...]]]


class StoppingRule(ABC):
    """Says after which of its epochs a trial is stopped."""

    #: The epochs after which a trial may be judged, in ascending order.
    epochs: Sequence[int] = ()

    def stops(self, curves: Curves, number: int) -> bool:
        """Say whether trial ``number`` is to stop after the last epoch of its curve.

        ``curves`` is all that had arrived by then, that epoch included; trials that failed since
        are part of it, as they were when others were judged beside them.
        """
        epoch = max(curves[number])
        return epoch in self.epochs and self._judge(curves, number, epoch)

    @abstractmethod
    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        """Say whether to stop a trial after one of the rule's epochs."""


class NeverStop(StoppingRule):
    """Let every trial run to its end."""

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        return False


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


def to_places(curves: VectorCurves) -> Curves:
    """Return each epoch's values as one number: of one objective, itself; of several, its place."""
    if all(len(value) == 1 for curve in curves.values() for value in curve.values()):
        return {n: {e: value[0] for e, value in curve.items()} for n, curve in curves.items()}
    places: dict[int, dict[int, float]] = {number: {} for number in curves}
    for epoch in {epoch for curve in curves.values() for epoch in curve}:
        there = [number for number, curve in curves.items() if epoch in curve]
        order = front_places([curves[number][epoch] for number in there])
        for number, place in zip(there, order, strict=True):
            places[number][epoch] = place
    return places


def front_places(vectors: Sequence[Sequence[float]]) -> list[float]:
    """Return the places of N vectors, lower is better: a front's number and a share within it.

    Front 0 are those that no other one dominates: nobody comes before them, so all have place 0.
    Front 1 are those that only front 0 dominates, and so on. There, whoever stands further from its
    neighbours comes first.
    """
    values = np.asarray(vectors, dtype=float)
    at_least_as_good = np.all(values[:, None, :] <= values[None, :, :], axis=2)
    dominates = np.logical_and(at_least_as_good, ~at_least_as_good.T)
    places = np.full(len(values), np.inf)
    left = np.ones(len(values), dtype=bool)
    front = 0
    while left.any():
        members = np.flatnonzero(left & ~dominates[left].any(axis=0))
        order = np.argsort(-_crowding_distance(values[members]), kind="stable")
        shares = np.arange(len(members)) / len(members)
        places[members[order]] = front + shares if front else 0.0
        left[members] = False
        front += 1
    return places.tolist()


def _crowding_distance(front: np.ndarray) -> np.ndarray:
    """Return how far the neighbours of each of (N, M) vectors are apart; infinite at the ends."""
    distance = np.zeros(len(front))
    for column in front.T:
        order = np.argsort(column, kind="stable")
        if not np.isfinite(column).all():
            continue
        span = column[order[-1]] - column[order[0]]
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
            distance[order[[0, -1]]] = np.inf
    return distance
