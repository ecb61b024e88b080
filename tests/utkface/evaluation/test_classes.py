"""Classes: counts by hand, and scores held to scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from utkface.data.labels import AGE_BINS, age_bin, bin_labels
from utkface.evaluation.classes import age_confusion, class_scores

NUM_BINS = len(AGE_BINS) - 1


def test_a_prediction_is_rounded_to_whole_years_before_it_is_binned() -> None:
    confusion = age_confusion(np.array([3, 4]), np.array([[3.4, 3.6], [3.6, -0.7]]))
    expected = np.zeros((NUM_BINS, NUM_BINS))
    expected[0, 0] = expected[0, 1] = 0.5  # three years: right by the first seed alone
    expected[1, 1] = expected[1, 0] = 0.5
    assert confusion.tolist() == expected.tolist()


def test_counts_and_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 117, 500)
    years = np.clip(age + rng.normal(0, 9, 500), 0, 116).round()
    confusion = age_confusion(age, years[None])
    bins = age_bin(age), age_bin(years)
    assert confusion.tolist() == confusion_matrix(*bins, labels=range(NUM_BINS)).tolist()
    scores = class_scores(confusion, bin_labels())
    precision, recall, f1, faces = precision_recall_fscore_support(*bins, labels=range(NUM_BINS))
    for name, expected in {
        "precision": precision, "recall": recall, "f1": f1, "num_faces": faces,
    }.items():  # fmt: skip
        assert [getattr(row, name) for row in scores] == pytest.approx(expected.tolist())
    assert [row.label for row in scores] == bin_labels()


def test_a_class_that_nobody_has_or_is_taken_for_has_no_scores() -> None:
    nobody, everybody = class_scores([[0, 0], [0, 5]], ["male", "female"])
    assert np.isnan([nobody.precision, nobody.recall, nobody.f1]).all()
    assert everybody[2:] == (1, 1, 1)
