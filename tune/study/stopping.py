"""Early stopping by asynchronous successive halving (ASHA), from the record and nothing else.

Li et al., 2020, https://arxiv.org/abs/1810.05934. Ray's schedulers and Optuna's pruners keep state
beside the values that the trials reported, and write it while they decide. A driver killed between
that write and the decision comes back with a trial that has "passed" a rung it was never judged at;
one killed later has forgotten its rungs. The rule here is given the values that had arrived when a
trial was judged, so it can be asked again after a crash, at any later time, with the same outcome.
"""

from collections.abc import Mapping, Sequence

import numpy as np

#: Values, lower is better, by trial number and epoch.
Curves = Mapping[int, Mapping[int, float]]

#: The same for several objectives.
VectorCurves = Mapping[int, Mapping[int, tuple[float, ...]]]


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


class Asha:
    """Stop a trial at a rung unless it is among the best 1/η of those that reached it before.

    The first trial at a rung passes. With fewer than η earlier arrivals a trial passes if it is
    the best so far. ``epochs``: the rungs, in ascending order.
    """

    def __init__(self, max_epochs: int, grace_epochs: int, reduction_factor: int) -> None:
        self.epochs = rungs(max_epochs, grace_epochs, reduction_factor)
        self.reduction_factor = reduction_factor

    def stops(self, curves: Curves, number: int) -> bool:
        """Say whether trial ``number`` is to stop after the last epoch of its curve.

        ``curves`` is all that had arrived by then, that epoch included; trials that failed since
        are part of it, as they were when others were judged beside them.
        """
        epoch = max(curves[number])
        if epoch not in self.epochs:
            return False
        earlier = [c[epoch] for other, c in curves.items() if other != number and epoch in c]
        return not passes_rung(curves[number][epoch], earlier, self.reduction_factor)


def make_rule(scheduler: str, max_epochs: int, grace_epochs: int, reduction_factor: int) -> Asha:
    """Return the rule of a name on the command line, for trials of ``max_epochs`` epochs."""
    # Without early stopping there is no rung before the end.
    first = max_epochs if scheduler == "none" else grace_epochs
    return Asha(max_epochs, first, reduction_factor)


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
