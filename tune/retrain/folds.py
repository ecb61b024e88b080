"""Folds of the training faces: copies stay together, ages and genders are spread evenly."""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from utkface.io import UserError

_YEARS = 10  # of age that are spread together


def assign_folds(table: pd.DataFrame, rows: np.ndarray, num_folds: int) -> np.ndarray:
    """Return the fold (N,), 0 to ``num_folds`` - 1, of each of some rows of the table of faces.

    A function of the faces alone, in whichever order, so that a run that goes on elsewhere has the
    same folds. Raises `UserError` where there are too few for a group in each.
    """
    faces = table.iloc[rows].reset_index(drop=True).sort_values("file")
    num_groups = faces["group"].nunique()
    if num_groups < num_folds:
        raise UserError(
            f"--folds {num_folds} is more than the {num_groups} different training faces; "
            "give fewer"
        )
    strata = faces["age"] // _YEARS * 2 + faces["gender"]
    if strata.value_counts().max() < num_folds:  # which scikit-learn refuses
        strata = strata * 0
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=0)
    folds = np.empty(len(rows), dtype=np.int64)
    with warnings.catch_warnings():  # about strata with fewer faces than folds
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, left_out) in enumerate(splitter.split(faces, strata, faces["group"])):
            folds[faces.index[left_out]] = fold
    return folds
