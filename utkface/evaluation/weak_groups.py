"""``python -m utkface.evaluation.weak_groups FOLDER``: weak groups become oversampling weights.

The reference's iterative step: see where a model is weak, then draw those faces more often. Only a
look at *validation* may steer training, so predictions of the test part are refused. What the
weights did to these groups and to the rest, `utkface.evaluation.compare` tells with ``--groups``.

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

import argparse
import math
import os
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from utkface.config import TrainConfig
from utkface.data.labels import AGE_BINS, age_bin
from utkface.evaluation.facts import Record, what_is_wrong
from utkface.evaluation.metrics import MEAN_METRICS, per_face_terms
from utkface.evaluation.predictions import StoredPredictions, parts_of, read_predictions
from utkface.io import UV_RUN, UserError, replacing, run_command
from utkface.sampling import GroupWeight

Values = NDArray[np.float64]

POOLED_FACES = 10  # how many faces' worth the variance of all faces counts in a group's
NUM_DEVIATIONS = 1.96
MIN_WEIGHT = 1.1
MAX_WEIGHT = 99.0  # what `TrainConfig.group_weights` allows, and far more than ever occurred
ATTRIBUTES = (("age", "gender"), ("age", "race"), ("race", "gender"))
ERRORS = ("age_mae", "gender_error")

#: Where `search_spaces/weak_groups.py` looks for the file, in this order.
WEIGHTS_VARIABLE = "UTKFACE_GROUP_WEIGHTS"
WEIGHTS_FILE = Path("results/group_weights.json")


class FaceErrors(Record):
    """Mean errors of some faces: age in years, share of wrong genders."""

    age_mae: float
    gender_error: float


class WeakGroup(FaceErrors):
    """The errors of one group, raw and shrunken, and its weight; 1 means not weak enough."""

    group: str
    num_faces: int
    age_mae_shrunken: float
    age_mae_is_weak: bool
    gender_error_shrunken: float
    gender_error_is_weak: bool
    weight: float


class WeakGroups(Record):
    """The file of weights: the text for `TrainConfig`, and what it is made from."""

    made_from: str
    label: str
    protocol: str
    part: str
    num_faces: int
    num_seeds: int
    all_faces: FaceErrors
    group_weights: str
    groups: list[WeakGroup]


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
    columns: dict[str, NDArray] = {"num_faces": np.bincount(group)}
    relative = []
    for name, error in zip(ERRORS, errors, strict=True):
        mean, shrunken, is_weak = shrink(error, group)
        columns |= {name: mean, f"{name}_shrunken": shrunken, f"{name}_is_weak": is_weak}
        ratio = np.divide(shrunken, error.mean(), out=np.ones(len(keys)), where=is_weak)
        relative.append(ratio)
    weights = np.minimum(np.mean(relative, axis=0), MAX_WEIGHT).round(3)
    weights[weights < MIN_WEIGHT] = 1
    names = [_name(dict(zip(pair, key, strict=True))) for key in keys.tolist()]
    return pd.DataFrame({"group": names, **columns, "weight": weights})


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


def _name(key: dict[str, int]) -> str:
    """Return a group's name, as `GroupWeight` reads it."""
    first, end = (AGE_BINS[key["age"]], AGE_BINS[key["age"] + 1]) if "age" in key else (0, math.inf)
    return GroupWeight(int(first), end - 1, key.get("gender"), key.get("race"), 1.0).name


def weights_file() -> Path:
    """Return where the weights are written and read unless a path is given."""
    return Path(os.environ.get(WEIGHTS_VARIABLE) or WEIGHTS_FILE)


def describe_weak_groups(predictions: StoredPredictions) -> WeakGroups:
    """Return what the weights file holds."""
    table = find_weak_groups(predictions.faces, *predictions.predicted)
    groups = [WeakGroup.model_validate(group) for group in table.to_dict("records")]
    text = ", ".join(f"{group.group}={group.weight:g}" for group in groups if group.weight > 1)
    if text:
        TrainConfig(oversample_by="weights", group_weights=text)  # what is written can be read
    errors = face_errors(predictions.faces, *predictions.predicted).mean(axis=1)
    return WeakGroups(
        made_from=predictions.folder.resolve().name,
        label=predictions.label,
        protocol=predictions.protocol,
        part=predictions.part,
        num_faces=len(predictions.faces),
        num_seeds=predictions.num_seeds,
        all_faces=FaceErrors(**dict(zip(ERRORS, errors.tolist(), strict=True))),
        group_weights=text,
        groups=groups,
    )


def read_weak_groups(path: Path) -> WeakGroups:
    """Read the file of weights; raises `UserError` where it cannot be used."""
    try:
        found = WeakGroups.model_validate_json(path.read_bytes())
        TrainConfig(group_weights=found.group_weights)
    except (OSError, ValidationError, UserError) as error:
        reason = what_is_wrong(error) if isinstance(error, ValidationError) else error
        raise UserError(
            f"cannot read weights of groups from {path} ({reason}); make the file with "
            "`python -m utkface.evaluation.weak_groups FOLDER`"
        ) from error
    return found


def main(arguments: list[str] | None = None) -> None:
    """Find the groups where a model is weak on validation, and write weights for them."""
    options = _parser().parse_args(arguments)
    folder, output = options.folder, options.output or weights_file()
    parts = parts_of(folder)
    if "validation" not in parts:
        raise UserError(
            f"{folder} has predictions of the {' and '.join(parts)} part only, which must not "
            "steer training: its numbers would no longer be of faces that no choice has seen; "
            "retrain with `python tune/retrain_best.py --part validation --top-k 1 --splits "
            "grouped` and use that folder"
        )
    predictions = read_predictions(
        folder, "validation", label=options.label, protocol=options.protocol
    )
    found = describe_weak_groups(predictions)
    with replacing(output) as temporary:
        temporary.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    _print(found)
    where = "" if output == weights_file() else f"{WEIGHTS_VARIABLE}={shlex.quote(str(output))} "
    command = f"{where}{UV_RUN}python tune/run_search.py --space weak_groups"
    print(f"\nwritten to {output}" + (f"; next: {command}" if found.group_weights else ""))


def _print(found: WeakGroups) -> None:
    average = found.all_faces
    print(
        f"{found.label} of {found.made_from}: {found.num_faces:,} validation faces, "
        f"{found.num_seeds} seeds, age MAE {average.age_mae:.2f} years, "
        f"wrong genders {average.gender_error:.1%}\n"
    )
    weak = [group for group in found.groups if group.weight > 1]
    if not weak:
        print("no group is weak beyond its noise: there is nothing to oversample")
        return
    print(f"{'weak group':22} {'faces':>6} {'MAE → shrunken':>16} {'wrong → shrunken':>18} weight")
    for group in weak:
        age = f"{group.age_mae:.2f} → {group.age_mae_shrunken:.2f}"
        gender = f"{group.gender_error:.1%} → {group.gender_error_shrunken:.1%}"
        age += "*" if group.age_mae_is_weak else " "
        gender += "*" if group.gender_error_is_weak else " "
        print(f"{group.group:22} {group.num_faces:6,} {age:>16} {gender:>18} {group.weight:6.2f}")
    print("* beyond its noise")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m utkface.evaluation.weak_groups", description=main.__doc__
    )
    parser.add_argument(
        "folder", type=Path, help="made by `tune/retrain_best.py --part validation`"
    )
    parser.add_argument("--label", help="which model (default: the headline)")
    parser.add_argument("--protocol", help="which split (default: grouped, where there are both)")
    parser.add_argument(
        "--output", type=Path, help=f"default: {WEIGHTS_VARIABLE} or {WEIGHTS_FILE}"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
