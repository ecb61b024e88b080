"""Folds of the training faces: nobody is left out, and no copy is on both sides."""

import numpy as np
import pandas as pd
import pytest

from tune.retrain.plan import assign_folds
from utkface.io import UserError


@pytest.fixture(scope="module")
def table():
    """Faces of all ages, a fifth of them copies in groups of two to four."""
    rng = np.random.default_rng(0)
    group = np.sort(np.concatenate([np.arange(800), rng.integers(0, 100, 200)]))
    return pd.DataFrame(
        {
            "file": [f"{number}.jpg" for number in rng.permutation(1000)],
            "age": rng.integers(0, 100, 1000),
            "gender": rng.integers(0, 2, 1000),
            "group": group,
        }
    )


def test_every_face_has_a_fold_and_copies_the_same(table):
    rows = np.arange(100, 900)
    folds = assign_folds(table, rows, 5)
    assert folds.shape == rows.shape
    assert set(folds) == {0, 1, 2, 3, 4}
    of_group = pd.Series(folds).groupby(table["group"].to_numpy()[rows])
    assert of_group.nunique().max() == 1
    assert of_group.size().max() > 1, "there were no copies to keep together"


def test_folds_are_of_one_size_and_ages_and_genders_are_spread(table):
    folds = assign_folds(table, np.arange(1000), 5)
    sizes = np.bincount(folds)
    assert np.ptp(sizes) <= 0.02 * len(table)
    for _, faces in table.assign(fold=folds).groupby([table["age"] // 10, "gender"]):
        assert np.ptp(np.bincount(faces["fold"], minlength=5)) <= 4  # a group, as large as they get


def test_the_order_of_rows_does_not_matter(table):
    shuffled = np.random.default_rng(1).permutation(1000)
    folds = assign_folds(table, np.arange(1000), 4)
    assert (assign_folds(table, shuffled, 4) == folds[shuffled]).all()


@pytest.mark.parametrize("protocol", ["grouped", "random"])
def test_demo_faces_have_no_copy_in_another_fold(faces, splits, protocol):
    train = splits[protocol].train
    folds = assign_folds(faces.table, train, 3)
    group = faces.table["group"].to_numpy()[train]
    for fold in range(3):
        assert not set(group[folds == fold]) & set(group[folds != fold])


def test_more_folds_than_different_faces_are_refused(table):
    rows = np.flatnonzero(table["group"] < 3)
    assert set(assign_folds(table, rows, 3)) == {0, 1, 2}
    with pytest.raises(UserError, match="--folds 4 is more than the 3 different training faces"):
        assign_folds(table, rows, 4)
