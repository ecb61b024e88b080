"""The two ways of cutting ages into bins: one to evaluate by, one to oversample by.

`AGE_BINS` are the edges that the reference's evaluation reports errors by; `DECADE_BINS` are the
nine decades that its oversampling balances. A bin holds the ages from its edge up to, not
including, the next one; the last bin is open.
"""

import itertools

import numpy as np
from numpy.typing import ArrayLike

AGE_BINS = (0, 4, 14, 24, 30, 40, 50, 60, 70, 80, np.inf)
DECADE_BINS = (0, 10, 20, 30, 40, 50, 60, 70, 80, np.inf)


def age_bin(ages: ArrayLike, edges: tuple[float, ...] = AGE_BINS) -> np.ndarray:
    """Return the bin number of each age, as int64 of the same shape.

    ages: years, at or above the first edge; ages above the last finite edge share the last bin.
    """
    return np.searchsorted(edges[1:-1], np.asarray(ages), side="right").astype(np.int64)


def bin_labels(edges: tuple[float, ...] = AGE_BINS) -> list[str]:
    """Return each bin's whole years as text, for tables and axes: ``0–3`` … ``80+``."""
    closed = itertools.pairwise(edges[:-1])
    return [f"{low:.0f}–{high - 1:.0f}" for low, high in closed] + [f"{edges[-2]:.0f}+"]
