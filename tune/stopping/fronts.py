"""Several objectives as one: a trial's place among those that have come as far.

Non-dominated sorting with crowding distance, as in NSGA-II (https://doi.org/10.1109/4235.996017).
"""

from collections.abc import Sequence

import numpy as np

from tune.stopping.rule import Curves, VectorCurves


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
