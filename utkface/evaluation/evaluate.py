"""Judging one model, trained with several seeds, on some faces: its numbers, its worst faces.

Every metric is of each seed's own predictions, then averaged over seeds: it says how good one
trained model is to be expected to be, not how good an ensemble of them would be. ``low`` and
``high`` are for want of faces (`utkface.evaluation.bootstrap`), ``spread`` is the standard
deviation over training seeds.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from utkface.data.labels import age_bin, bin_labels
from utkface.evaluation.bootstrap import Bootstrap, estimate, number_or_none, resample_seeds
from utkface.evaluation.measures import COMPARED
from utkface.evaluation.metrics import (
    MEAN_METRICS,
    METRICS,
    FloatArray,
    IntArray,
    WeightedMetrics,
    age_confusion,
    calibration_table,
    per_face_terms,
)
from utkface.evaluation.records import (
    Coverage,
    Difference,
    ExplainedFace,
    ModelEvaluation,
    Scores,
    SeedEstimate,
)
from utkface.evaluation.subgroups import assign_subgroups, evaluate_subgroups
from utkface.intervals import COVERAGE_LEVEL
from utkface.io import UserError

AgeAndGender = tuple[ArrayLike, ArrayLike]


def evaluate_model(
    faces: pd.DataFrame,
    age_years: ArrayLike,
    gender_probability: ArrayLike,
    *,
    num_resamples: int = 2000,
    seed: int = 0,
    interval: AgeAndGender | None = None,
) -> ModelEvaluation:
    """Return all numbers of one model on some faces.

    faces: group, age, gender, race, and quality measures where there are any, N rows.
    age_years, gender_probability: (S, N), S seeds; the latter of being female, 0..1.
    interval: lowest and highest age of each prediction, (S, N) years each, where it has them.
    """
    years, probability = _checked(faces, age_years, gender_probability)
    age, gender, groups = (faces[name].to_numpy(np.int64) for name in ("age", "gender", "group"))
    bootstrap = Bootstrap(groups, num_resamples, seed)
    coverage = None if interval is None else interval_coverage(age, *interval, bootstrap)
    terms = per_face_terms(age, gender, years, probability).mean(axis=1)
    subgroups, gaps = evaluate_subgroups(assign_subgroups(faces), terms, bootstrap)
    return ModelEvaluation(
        **dict(_overall(age, gender, years, probability, bootstrap)),
        num_seeds=len(years),
        subgroups=subgroups,
        gaps=gaps,
        calibration=calibration_table(gender, probability),
        confusion=_confusion(age, gender, probability),
        age_confusion=age_confusion(age, years).tolist(),
        interval=coverage,
    )


def evaluate_overall(
    faces: pd.DataFrame, age_years: ArrayLike, gender_probability: ArrayLike
) -> Scores:
    """Return what `evaluate_model` says over all faces: the same numbers, in less time."""
    years, probability = _checked(faces, age_years, gender_probability)
    age, gender, groups = (faces[name].to_numpy(np.int64) for name in ("age", "gender", "group"))
    return _overall(age, gender, years, probability, Bootstrap(groups))


def paired_difference(
    faces: pd.DataFrame,
    a: AgeAndGender,
    b: AgeAndGender,
    *,
    num_resamples: int = 2000,
) -> Difference:
    """Return how model a differs from b (a minus b) on the same faces, with intervals.

    a, b: (age_years, gender_probability), each (S, N); the numbers of seeds may differ. Both are
    judged on the same resamples, so what is hard about a face for both of them cancels out; their
    seeds are resampled too, the same for both where they have as many. Of one seed nothing says
    what another would give, and the interval is for want of faces alone.
    """
    age, gender, groups = (faces[name].to_numpy(np.int64) for name in ("age", "gender", "group"))
    bootstrap = Bootstrap(groups, num_resamples)
    # All three metrics are means over faces, and of these over seeds.
    rows = [MEAN_METRICS.index(name) for name in COMPARED]
    values, samples = [], []
    for predictions in (a, b):
        terms = per_face_terms(age, gender, *_checked(faces, *predictions))[rows]  # (3, S, N)
        num_seeds = terms.shape[1]
        means = bootstrap.sample_means(terms.reshape(-1, len(faces)))
        means = means.reshape(len(rows), num_seeds, num_resamples)
        # By their number: so both sides draw the same ones where they have as many.
        samples.append(resample_seeds(means, num_seeds))
        values.append(terms.mean(axis=(1, 2)))
    estimates = map(estimate, values[0] - values[1], samples[0] - samples[1])
    return Difference(**dict(zip(COMPARED, estimates, strict=True)))


def interval_coverage(
    age: IntArray, low: ArrayLike, high: ArrayLike, bootstrap: Bootstrap
) -> Coverage:
    """Return the share of true ages (N,) that lie within low and high, both (S, N) years.

    With an interval of that share itself, and with the mean width: covering is easy when wide.
    """
    lowest, highest = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if lowest.shape != highest.shape or lowest.shape[1:] != age.shape:
        raise UserError(
            f"intervals of shape {lowest.shape} and {highest.shape} do not fit {len(age)} faces: "
            "give (seeds, faces) for both ends"
        )
    if not np.isfinite(highest - lowest).all():
        raise UserError("some predictions lack an interval: give one for every face, or none")
    is_covered = ((lowest <= age) & (age <= highest)).mean(axis=0, keepdims=True)
    return Coverage(
        level=COVERAGE_LEVEL,
        coverage=estimate(is_covered.mean(), bootstrap.sample_means(is_covered)[0]),
        mean_width_years=float((highest - lowest).mean()),
    )


class HardestRows(NamedTuple):
    """Positions of the faces that a model gets most wrong, the worst first."""

    ages: IntArray  # largest age errors
    genders: IntArray  # wrong, and surest of it; fewer than asked for if few are wrong


def find_hardest(
    faces: pd.DataFrame, age_years: np.ndarray, gender_probability: np.ndarray, num: int
) -> HardestRows:
    """Return the faces with the largest age errors and the most confident wrong genders.

    faces: columns age, gender and group; predictions: (S, N) of S seeds, judged by their mean. Of
    copies of one photograph only the worst is given: others would tell nothing new.
    """
    age_error = np.abs(age_years.mean(axis=0) - faces["age"].to_numpy())
    probability = gender_probability.mean(axis=0)
    is_wrong = (probability > 0.5) != (faces["gender"].to_numpy() == 1)
    sureness = np.where(is_wrong, np.abs(probability - 0.5), -1.0)
    group = faces["group"].to_numpy()
    return HardestRows(_worst(age_error, group, num), _worst(sureness, group, num))


def _worst(badness: np.ndarray, group: np.ndarray, num: int) -> IntArray:
    """Return the positions of the largest non-negative values, one of each group."""
    order = np.argsort(-badness, kind="stable")
    order = order[badness[order] >= 0]
    _, first = np.unique(group[order], return_index=True)
    return order[np.sort(first)][:num]


def describe_faces(
    faces: pd.DataFrame, age_years: np.ndarray, gender_probability: np.ndarray, rows: IntArray
) -> list[ExplainedFace]:
    """Return labels and predictions (S, N) of some faces, as means over seeds."""
    table = (
        faces[["file", "age", "gender"]]
        .iloc[rows]
        .assign(
            age_years=age_years.mean(axis=0)[rows],
            gender_probability=gender_probability.mean(axis=0)[rows],
        )
    )
    return [ExplainedFace.model_validate(row) for row in table.to_dict("records")]


def _overall(
    age: IntArray,
    gender: IntArray,
    age_years: FloatArray,
    gender_probability: FloatArray,
    bootstrap: Bootstrap,
) -> Scores:
    """Return every metric over all faces: mean over seeds, interval, spread, and each seed's."""
    of_seeds = [
        WeightedMetrics(age, gender, *predicted)
        for predicted in zip(age_years, gender_probability, strict=True)
    ]
    points = np.hstack([metrics(np.ones((len(age), 1))) for metrics in of_seeds])  # (metrics, S)
    samples = bootstrap.samples(
        lambda weights: np.mean([metrics(weights) for metrics in of_seeds], axis=0)
    )
    overall = {}
    for name, values, of_resamples in zip(METRICS, points, samples, strict=True):
        overall[name] = SeedEstimate(
            **dict(estimate(values.mean(), of_resamples)),
            spread=number_or_none(values.std(ddof=1)) if len(values) > 1 else None,
            per_seed=[number_or_none(value) for value in values],
        )
    num_groups = len(np.unique(bootstrap.groups))
    return Scores(num_faces=len(age), num_groups=num_groups, overall=overall)


def _confusion(
    age: IntArray, gender: IntArray, gender_probability: FloatArray
) -> dict[str, list[list[float]]]:
    """Return true by predicted gender, (male, female) each way, by age; the mean over seeds."""
    called_female = (gender_probability > 0.5).astype(np.int64)
    bins, labels = age_bin(age), bin_labels()
    tables = {}
    for number in np.unique(bins):
        inside = bins == number
        cells = 2 * gender[inside] + called_female[:, inside]  # (S, faces): true, then called
        counts = [np.bincount(of_seed, minlength=4) for of_seed in cells]
        tables[labels[number]] = np.mean(counts, axis=0).reshape(2, 2).tolist()
    return tables


def _checked(
    faces: pd.DataFrame, age_years: ArrayLike, gender_probability: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return predictions as float64, after making sure that they are some and fit the faces."""
    missing = [name for name in ("group", "age", "gender", "race") if name not in faces]
    if missing:
        raise UserError(f"the table of faces lacks the columns {', '.join(missing)}")
    if faces.empty:
        raise UserError("there are no faces to evaluate on: the part is empty")
    years = np.asarray(age_years, np.float64)
    probability = np.asarray(gender_probability, np.float64)
    if years.shape != probability.shape or years.ndim != 2 or years.shape[1] != len(faces):
        raise UserError(
            f"predictions of shape {years.shape} (age) and {probability.shape} (gender) do not fit "
            f"{len(faces)} faces: give (seeds, faces) for both"
        )
    if not np.isfinite(years).all():
        raise UserError("some predicted ages are not finite: the model cannot be evaluated")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise UserError("some gender probabilities are outside 0..1: give P(female)")
    return years, probability
