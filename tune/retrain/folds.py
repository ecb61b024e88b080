"""Folds of the training faces: copies stay together, ages and genders are spread evenly.

Chance comes from file names, as in `utkface.data.splits`, so a run that goes on elsewhere has the
same folds.
"""

import hashlib

import numpy as np
import pandas as pd

from utkface.io import UserError

_YEARS = 10  # of age that are spread together


def assign_folds(table: pd.DataFrame, rows: np.ndarray, num_folds: int) -> np.ndarray:
    """Return the fold (N,), 0 to ``num_folds`` - 1, of each of some rows of the table of faces.

    Groups go one by one, the largest first, to the fold with fewest faces of that age and gender,
    of equals to the smallest. Raises `UserError` where there are too few for a group in each.
    """
    faces = table.iloc[rows]
    strata = (faces["age"] // _YEARS * 2 + faces["gender"]).to_numpy()
    groups = _in_order(faces)
    if len(groups) < num_folds:
        raise UserError(
            f"--folds {num_folds} is more than the {len(groups)} different training faces; "
            "give fewer"
        )
    folds = np.empty(len(rows), dtype=np.int64)
    counts = np.zeros((strata.max() + 1, num_folds), dtype=np.int64)
    for members in groups:
        fold = np.lexsort((counts.sum(axis=0), counts[strata[members[0]]]))[0]
        folds[members] = fold
        np.add.at(counts[:, fold], strata[members], 1)
    return folds


def _in_order(faces: pd.DataFrame) -> list[np.ndarray]:
    """Return the positions of each group's faces, larger groups first, equals by lot."""
    by_file = faces.reset_index(drop=True).sort_values("file")
    files = faces["file"].to_numpy()
    groups = [part.index.to_numpy() for _, part in by_file.groupby("group")]
    return sorted(groups, key=lambda members: (-len(members), _lot(files[members[0]])))


def _lot(file: str) -> str:
    return hashlib.sha256(f"fold/{file}".encode()).hexdigest()
