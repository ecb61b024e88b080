"""Labels: what a file name says of a face, and how ages are cut into bins.

The documented form is ``[age]_[gender]_[race]_[date&time].jpg.chip.jpg`` with a date of 17 digits
(https://susanqq.github.io/UTKFace); there is no other label file. Five files of the published set
break the date but not the labels and are read all the same; three lack a label and are refused,
because a naive split would take their date for the race.

`AGE_BINS` are the edges that the reference's evaluation reports errors by; `DECADE_BINS` are the
nine decades that its oversampling balances. A bin holds the ages from its edge up to, not
including, the next one; the last bin is open.
"""

import itertools
import re
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

GENDERS = ("male", "female")
RACES = ("White", "Black", "Asian", "Indian", "Other")
MAX_AGE_YEARS = 116  # the oldest face that UTKFace documents

_SUFFIX = r"(?:\.jpg\.chip)?\.(?:jpg|jpeg|png)"
_STRICT = re.compile(r"(\d{1,3})_(\d)_(\d)_\d{17}" + _SUFFIX, re.IGNORECASE)
# One digit too few or too many, a space after it, or no dot before "jpg": a typing error in the
# date, which nobody reads. Anything looser could mistake another field for a label.
_REPAIRABLE = re.compile(
    r"(\d{1,3})_(\d)_(\d)_\d{16,18} ?(?:jpg\.chip\.jpg|" + _SUFFIX + ")", re.IGNORECASE
)
_TWO_LABELS = re.compile(r"\d{1,3}_\d_\d{16,18}" + _SUFFIX, re.IGNORECASE)


class Labels(NamedTuple):
    """What a file name says of a face: years, 0 male or 1 female, and a place in `RACES`."""

    age: int
    gender: int
    race: int


class NameRejected(Exception):  # noqa: N818 - a verdict on one file, not a failure of the program
    """A file name that does not give all three labels; the message is the reason, kind first."""


def parse_name(name: str) -> Labels:
    """Read the labels from a file name without folders.

    Raises `NameRejected` with the reason when a label is missing or out of range.
    """
    match = _STRICT.fullmatch(name) or _REPAIRABLE.fullmatch(name)
    if match is None:
        if _TWO_LABELS.fullmatch(name):
            raise NameRejected("a label is missing: two numbers before the date, not three")
        raise NameRejected("foreign name: not of the form age_gender_race_date.jpg.chip.jpg")
    labels = Labels(*map(int, match.groups()))
    if labels.age > MAX_AGE_YEARS:
        raise NameRejected(f"unknown age: {labels.age}, not between 0 and {MAX_AGE_YEARS}")
    if labels.gender >= len(GENDERS):
        raise NameRejected(f"unknown gender: {labels.gender}, not 0 (male) or 1 (female)")
    if labels.race >= len(RACES):
        raise NameRejected(f"unknown race: {labels.race}, not between 0 and {len(RACES) - 1}")
    return labels


AGE_BINS = (0, 4, 14, 24, 30, 40, 50, 60, 70, 80, np.inf)
#: The same as the reference's code cuts them: each edge belongs to the bin below it.
REFERENCE_AGE_BINS = (0, *(edge + 1 for edge in AGE_BINS[1:-1]), np.inf)
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
