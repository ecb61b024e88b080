"""Which groups of faces a model is weak at, beyond what chance does in small groups.

The groups are age bin × gender, age bin × race and race × gender. In small ones errors are large
by chance, so each group's mean error is shrunk towards that of all faces, by empirical Bayes
(Efron & Morris 1975, https://doi.org/10.2307/2285814). For each attribute and each error:

- m is the mean over all N faces; group g has n faces, mean m_g and variance v of its faces' errors,
  itself pooled: v = ((n - 1) v_g + 10 v_all) / (n - 1 + 10). Sampling variance: s² = v / n.
- How much groups really differ: t² = max(0, sum n ((m_g - m)² - s² (1 - n / N)) / N).
- Shrunken mean: m + b (m_g - m), with b = t² / (t² + s²) and posterior deviation sqrt(b) s.
- g is weak when its shrunken mean lies 1.96 such deviations above m.

A weak group's relative error is shrunken mean / m, that of any other 1. Its weight is the mean of
both errors' (years of age, share of wrong genders), as the score is the mean of both. Below 1.1 it
is left at 1: in a large group a difference can be certain and still too small to act upon.
"""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.data.labels import AGE_BINS, age_bin
from utkface.evaluation.metrics import MEAN_METRICS, per_face_terms
from utkface.sampling import GroupWeight

Values = NDArray[np.float64]

POOLED_FACES = 10  # how many faces' worth the variance of all faces counts in a group's
NUM_DEVIATIONS = 1.96
MIN_WEIGHT = 1.1
MAX_WEIGHT = 99.0  # what `TrainConfig.group_weights` allows, and far more than ever occurred
ATTRIBUTES = (("age", "gender"), ("age", "race"), ("race", "gender"))
ERRORS = ("age_mae", "gender_error")


def find_weak_groups(
    faces: pd.DataFrame, age_years: Values, gender_probability: Values
) -> pd.DataFrame:
    """Return every group with its errors, raw and shrunken, and its weight, the weakest first.

    faces: N rows with age, gender, race; predictions (S, N). Columns: group, num_faces, weight, and
    for age_mae (years) and gender_error (share) the mean, ``_shrunken`` and ``_is_weak``. A weight
    of 1 means not weak enough.
    """
    errors = face_errors(faces, age_years, gender_probability)
    tables = [_judge_attribute(faces, pair, errors) for pair in ATTRIBUTES]
    return pd.concat(tables).sort_values("weight", ascending=False, ignore_index=True)


def face_errors(faces: pd.DataFrame, age_years: Values, gender_probability: Values) -> Values:
    """Return each face's errors in the order of `ERRORS`, (2, N), as means over the seeds."""
    age, gender = (faces[name].to_numpy(np.int64) for name in ("age", "gender"))
    terms = per_face_terms(age, gender, age_years, gender_probability).mean(axis=1)
    of = dict(zip(MEAN_METRICS, terms, strict=True))
    return np.stack([of["age_mae"], 1 - of["gender_accuracy"]])


def _judge_attribute(faces: pd.DataFrame, pair: tuple[str, str], errors: Values) -> pd.DataFrame:
    """Return the groups of one pair of labels, as `find_weak_groups` does."""
    labels = faces.assign(age=age_bin(faces["age"]))[list(pair)].to_numpy(np.int64)
    keys, group = np.unique(labels, axis=0, return_inverse=True)
    group = group.reshape(-1)
    columns: dict[str, Any] = {"num_faces": np.bincount(group)}
    relative = []
    for name, error in zip(ERRORS, errors, strict=True):
        mean, shrunken, is_weak = shrink(error, group)
        columns |= {name: mean, f"{name}_shrunken": shrunken, f"{name}_is_weak": is_weak}
        ratio = np.divide(shrunken, error.mean(), out=np.ones(len(keys)), where=is_weak)
        relative.append(ratio)
    weights = np.minimum(np.mean(relative, axis=0), MAX_WEIGHT).round(3)
    weights[weights < MIN_WEIGHT] = 1
    groups = [_group(pair, key, weight) for key, weight in zip(keys, weights, strict=True)]
    return pd.DataFrame(
        {"group": [group.name for group in groups], **columns, "weight": weights, "parsed": groups}
    )


def shrink(error: Values, group: NDArray[np.int64]) -> tuple[Values, Values, NDArray[np.bool_]]:
    """Return the groups' means, shrunken means, and whether they are weak (see the module).

    error: (N,) of the faces; group: (N,) numbers from 0 without a gap. Returns three of (groups,).
    """
    num_faces = np.bincount(group)
    mean = np.bincount(group, weights=error) / num_faces
    squares = np.bincount(group, weights=(error - mean[group]) ** 2)  # (n - 1) v_g
    variance = (squares + POOLED_FACES * error.var()) / (num_faces - 1 + POOLED_FACES)
    sampling = variance / num_faces
    distance = mean - error.mean()
    share = num_faces / len(error)
    between = max(0.0, float(np.sum(share * (distance**2 - sampling * (1 - share)))))
    if between == 0:  # nothing but noise; and no error at all would be 0 / 0 below
        return mean, np.full(len(mean), error.mean()), np.zeros(len(mean), bool)
    kept = between / (between + sampling)
    is_weak = kept * distance > NUM_DEVIATIONS * np.sqrt(kept * sampling)
    return mean, error.mean() + kept * distance, is_weak


def _group(pair: tuple[str, str], key: NDArray[np.int64], weight: float) -> GroupWeight:
    of = dict(zip(pair, map(int, key), strict=True))
    first, last = 0, math.inf
    if "age" in of:
        first, end = int(AGE_BINS[of["age"]]), AGE_BINS[of["age"] + 1]
        last = end - 1
    return GroupWeight(first, last, of.get("gender"), of.get("race"), float(weight))
