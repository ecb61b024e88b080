"""Training, validation and test parts, computed from the table of faces alone.

``random`` is the reference's protocol: 80/20 over all files, 20 % of the training part for
validation. ``grouped`` keeps copies of one photograph together and gives every age bin and gender
the same 64/16/20 shares. Chance comes from a hash of the seed and the file name, so that a split is
the same on any file system, for any order of rows and with any version of NumPy.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.data.labels import AGE_BINS, age_bin
from utkface.io import UserError, replacing

PROTOCOLS = ("grouped", "random")
PARTS = ("train", "val", "test")
TEST_SHARE = 0.2
VAL_SHARE = 0.2  # of what the test leaves
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, each sorted and disjoint from the others.

    hash: hex sha256 of the parts' file names, the same for the same faces in any order of rows.
    """

    train: Rows
    val: Rows
    test: Rows
    protocol: str
    seed: int
    hash: str

    def save(self, path: Path, table: pd.DataFrame) -> None:
        """Write the split as JSON: protocol, seed, hash and the parts' file names."""
        parts = _names(table, self.train, self.val, self.test)
        text = {"protocol": self.protocol, "seed": self.seed, "hash": self.hash, **parts}
        with replacing(Path(path)) as temporary:
            temporary.write_text(json.dumps(text, indent=1), encoding="utf-8")


def _names(table: pd.DataFrame, *parts: Rows) -> dict[str, list[str]]:
    files = table["file"].to_numpy()
    return {part: sorted(files[rows]) for part, rows in zip(PARTS, parts, strict=True)}


def _hash(table: pd.DataFrame, *parts: Rows) -> str:
    canonical = json.dumps([*_names(table, *parts).values()], ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _lots(names: "pd.Series[str]", seed: int, purpose: str) -> NDArray[np.str_]:
    """Draw a lot for each name, (N,) text: sorting by it shuffles."""
    lots = [hashlib.sha256(f"{purpose}/{seed}/{name}".encode()).hexdigest() for name in names]
    return np.array(lots, dtype=np.str_)


def _strata(table: pd.DataFrame) -> Rows:
    """Number each face's stratum: age bin × gender, (N,)."""
    return age_bin(table["age"].to_numpy()) * 2 + table["gender"].to_numpy(dtype=np.int64)


_NUM_STRATA = 2 * (len(AGE_BINS) - 1)


def _portion(counts: Rows, share: float) -> Rows:
    """Take ``share`` of each count, within 1 of it, so that the sum is right as well."""
    return np.diff(np.floor(share * np.cumsum(counts) + 0.5).astype(np.int64), prepend=0)


def _assign_grouped(table: pd.DataFrame, seed: int) -> Rows:
    """Give every face its part, (N,): 0 train, 1 val, 2 test; a group's faces the same one.

    Groups of several faces go first, each to the part that has relatively most room in the
    strata of its faces. The single faces then fill every stratum up to its exact sizes.
    """
    strata, groups = _strata(table), table["group"].to_numpy()
    counts = np.bincount(strata, minlength=_NUM_STRATA)
    test = _portion(counts, TEST_SHARE)
    val = _portion(counts - test, VAL_SHARE)
    room = np.column_stack([counts - val - test, val, test])  # (strata, parts)
    shares = np.array(
        [(1 - TEST_SHARE) * (1 - VAL_SHARE), (1 - TEST_SHARE) * VAL_SHARE, TEST_SHARE]
    )

    lots = _lots(table.groupby("group")["file"].transform("min"), seed, "grouped")
    order = np.lexsort((table["file"].to_numpy(dtype=np.str_), lots))  # a group's rows are adjacent
    sizes = pd.Series(groups).map(pd.Series(groups).value_counts()).to_numpy()
    assigned = np.full(len(table), -1)
    shared = order[sizes[order] > 1]
    for rows in np.split(shared, np.flatnonzero(np.diff(groups[shared])) + 1):
        part = int(np.argmax((room[strata[rows]] / shares).sum(axis=0)))
        assigned[rows] = part
        room[:, part] -= np.bincount(strata[rows], minlength=_NUM_STRATA)

    single = order[sizes[order] == 1]
    for stratum in range(_NUM_STRATA):
        rows = single[strata[single] == stratum]
        _, val_room, test_room = np.maximum(room[stratum], 0)
        assigned[rows] = 0
        assigned[rows[:test_room]] = 2
        assigned[rows[test_room : test_room + val_room]] = 1
    return assigned


def _assign_random(table: pd.DataFrame, seed: int) -> Rows:
    counts = np.array([len(table)])
    (num_test,) = _portion(counts, TEST_SHARE)
    (num_val,) = _portion(counts - num_test, VAL_SHARE)
    order = np.argsort(_lots(table["file"], seed, "random"))
    assigned = np.zeros(len(table), dtype=np.int64)
    assigned[order[:num_test]] = 2
    assigned[order[num_test : num_test + num_val]] = 1
    return assigned


def make_split(table: pd.DataFrame, protocol: str = "grouped", seed: int = 0) -> Split:
    """Split the faces into training, validation and test parts.

    table: as in `Faces.table` (file, age, gender and group are read).

    Raises:
        UserError: The protocol is unknown, or there are too few faces for three parts.

    """
    if protocol not in PROTOCOLS:
        raise UserError(f"split {protocol!r} is unknown: use {' or '.join(PROTOCOLS)}")
    assigned = (_assign_grouped if protocol == "grouped" else _assign_random)(table, seed)
    train, val, test = (np.flatnonzero(assigned == part) for part in range(3))
    if min(len(train), len(val), len(test)) == 0:
        raise UserError(f"{len(table)} faces are too few for training, validation and test parts")
    return Split(train, val, test, protocol, seed, _hash(table, train, val, test))


def take_fraction(split: Split, table: pd.DataFrame, fraction: float, seed: int) -> Split:
    """Keep a ``fraction`` of the training part, the same of each age bin and gender.

    Validation and test stay. For one seed a smaller fraction is part of every larger one, but for
    a face or two.

    Raises:
        UserError: ``fraction`` is not above 0 and at most 1, or leaves no face.

    """
    if not 0 < fraction <= 1:
        raise UserError(f"fraction {fraction} is not possible: it must be above 0 and at most 1")
    strata = _strata(table)[split.train]
    wanted = _portion(np.bincount(strata, minlength=_NUM_STRATA), fraction)
    order = np.argsort(_lots(table["file"].iloc[split.train], seed, "fraction"))
    kept = [order[strata[order] == stratum][:num] for stratum, num in enumerate(wanted)]
    train = np.sort(split.train[np.concatenate(kept)])
    if len(train) == 0:
        raise UserError(f"fraction {fraction} of {len(split.train)} training faces leaves none")
    return replace(split, train=train, hash=_hash(table, train, split.val, split.test))
