"""Errors by subgroup of faces: who they are, and how good their photographs are.

fairlearn's MetricFrame gives the same values (a test holds us to it), but its bootstrap draws
single rows, as if copies of one photograph were independent, and calls every metric for every
group of every resample in Python: 20 minutes for 2,000 resamples of one model. The three metrics
here are means over faces, so the weights of `utkface.evaluation.bootstrap` give them for all
resamples in one product per group.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from utkface.data.labels import GENDERS, RACES, REFERENCE_AGE_BINS, age_bin, bin_labels
from utkface.evaluation.bootstrap import Bootstrap, estimate
from utkface.evaluation.metrics import MEAN_METRICS, FloatArray, IntArray, weighted_mean
from utkface.evaluation.records import SMALL_GROUP_FACES, Estimate, Gap, Group

SUBGROUP_METRICS = ("age_mae", "age_bias", "gender_accuracy")
#: Metrics that groups are compared by, and the end of the scale where the worst group is.
WORST_OF = {"age_mae": max, "gender_accuracy": min}

NOT_MEASURED = "not measured"

#: Edges of the reference's evaluation (FACTS, "The reference").
LUMINANCE_EDGES = (0, 85, 105, 120, 135, 150, np.inf)
BRISQUE_EDGES = (-np.inf, 25, 35, 45, 55, np.inf)
FIXED_EDGES = {"luminance": LUMINANCE_EDGES, "brisque": BRISQUE_EDGES}
#: Measures without edges of their own are cut into fifths of the faces at hand.
QUINTILE_MEASURES = (
    "laplacian_variance", "high_frequency_energy", "colour_variance", "contrast", "entropy",
)  # fmt: skip
#: The end of each measure where a photograph is poor, and in how many of them one can be.
POOR_END = {
    "brisque": 1, "laplacian_variance": -1, "high_frequency_energy": -1, "contrast": -1,
    "entropy": -1,
}  # fmt: skip
_POOR_SHARE = 0.2
_POOR_LABELS = ["in none", "in one", "in two", "in three or more"]


class Assignment(NamedTuple):
    """The group of every face by one attribute."""

    codes: IntArray  # (N,), positions in labels
    labels: list[str]  # of all groups, in the order of tables and figures


def assign_subgroups(faces: pd.DataFrame) -> dict[str, Assignment]:
    """Return the subgroup of every face by each attribute.

    faces: age, gender, race, and those quality columns that were measured; an attribute whose
    column is missing or empty is left out, and single faces without a value are "not measured".
    """
    age = Assignment(age_bin(faces["age"]), bin_labels())
    gender = Assignment(faces["gender"].to_numpy(np.int64), list(GENDERS))
    race = Assignment(faces["race"].to_numpy(np.int64), list(RACES))
    reference_age = age_bin(faces["age"], REFERENCE_AGE_BINS)
    luminance = _measured(faces, "luminance")
    return {
        "age": age,
        "gender": gender,
        "race": race,
        **luminance,
        "age_gender": _product(age, gender),
        "race_gender": _product(race, gender),
        **{f"{name}_gender": _product(by, gender) for name, by in luminance.items()},
        **{f"{name}_age": _product(by, age) for name, by in luminance.items()},
        "age_of_reference": Assignment(reference_age, bin_labels(REFERENCE_AGE_BINS)),
        **_measured(faces, "brisque"),
        **{name: a for column in QUINTILE_MEASURES for name, a in _measured(faces, column).items()},
        **_poor(faces),
    }


def _product(first: Assignment, second: Assignment) -> Assignment:
    """Return both attributes as one, ``24–29 × female``."""
    pairs = itertools.product(first.labels, second.labels)
    codes = first.codes * len(second.labels) + second.codes
    return Assignment(codes, [f"{left} × {right}" for left, right in pairs])


def _measured(faces: pd.DataFrame, column: str) -> dict[str, Assignment]:
    """Return a quality measure cut into bins under its name, nothing where it was not measured."""
    if column not in faces or faces[column].isna().all():
        return {}
    values = faces[column].to_numpy(np.float64)
    known = np.isfinite(values)
    edges = FIXED_EDGES.get(column) or _quintile_edges(values[known])
    codes = np.full(len(values), len(edges) - 1)
    codes[known] = np.searchsorted(edges[1:-1], values[known], side="right")
    return {column: Assignment(codes, [*interval_labels(edges), NOT_MEASURED])}


def _poor(faces: pd.DataFrame) -> dict[str, Assignment]:
    """Return by how many measures a photograph is among the poorest fifth of the faces at hand."""
    signs = {name: sign for name, sign in POOR_END.items() if name in faces}
    table = pd.DataFrame({name: sign * faces[name] for name, sign in signs.items()})
    table = table.dropna(axis="columns", how="all")
    if len(table.columns) < 2:
        return {}
    num_poor = (table > table.quantile(1 - _POOR_SHARE)).sum(axis=1).clip(upper=3)
    codes = num_poor.where(table.notna().all(axis=1), len(_POOR_LABELS)).to_numpy(np.int64)
    return {"poor_quality": Assignment(codes, [*_POOR_LABELS, NOT_MEASURED])}


def _quintile_edges(values: FloatArray) -> tuple[float, ...]:
    """Return edges between fifths of the values; fewer fifths where many values are equal."""
    inner = np.unique(np.quantile(values, [0.2, 0.4, 0.6, 0.8]))
    return (-np.inf, *inner.tolist(), np.inf)


def interval_labels(edges: tuple[float, ...]) -> list[str]:
    """Return each bin of a measure as text: ``<25``, ``25–35`` … ``55+``."""
    labels = []
    for low, high in itertools.pairwise(edges):
        if np.isinf(low):
            labels.append(f"<{_short(high)}")
        else:
            labels.append(f"{_short(low)}+" if np.isinf(high) else f"{_short(low)}–{_short(high)}")
    return labels


def _short(value: float) -> str:
    """Return four figures of an edge, without an exponent for the large ones."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class Evaluated(NamedTuple):
    """What is known of subgroups, by attribute: their tables, and by metric their widest gap."""

    tables: dict[str, list[Group]]
    gaps: dict[str, dict[str, Gap]]


def evaluate_subgroups(
    subgroups: dict[str, Assignment], terms: FloatArray, bootstrap: Bootstrap
) -> Evaluated:
    """Return the metrics of every subgroup that has faces, and the gaps, with intervals.

    terms: (len(MEAN_METRICS), N) of `per_face_terms`, already averaged over seeds, which is the
    same as averaging the metrics: every seed has the same faces.

    A gap is from the worst group to the best, and to all faces, in the metric's own sign: positive
    for an error, negative for an accuracy. Small and unmeasured groups take no part; an attribute
    with fewer than two others has no gap and is left out. Which group is the worst was found on the
    same faces, so a gap looks a little wider than it is.
    """
    terms = terms[[MEAN_METRICS.index(name) for name in SUBGROUP_METRICS]]
    everybody = np.arange(terms.shape[1])
    members = [
        (attribute, labels[code], np.flatnonzero(codes == code))
        for attribute, (codes, labels) in subgroups.items()
        for code in np.unique(codes)
    ]
    parts = [*(faces for *_, faces in members), everybody]

    def means(weights: FloatArray) -> FloatArray:
        return np.stack([weighted_mean(terms[:, faces], weights[faces]) for faces in parts])

    values = np.stack([terms[:, faces].mean(axis=1) for faces in parts])  # (groups + 1, metrics)
    samples = bootstrap.samples(means)  # (groups + 1, metrics, resamples)
    tables: dict[str, list[Group]] = {attribute: [] for attribute in subgroups}
    compared: dict[str, list[int]] = {attribute: [] for attribute in subgroups}
    for place, (attribute, label, faces) in enumerate(members):
        is_small = len(faces) < SMALL_GROUP_FACES
        estimates = dict(
            zip(SUBGROUP_METRICS, map(estimate, values[place], samples[place]), strict=True)
        )
        row = Group(group=label, num_faces=len(faces), small=is_small, **estimates)
        tables[attribute].append(row)
        if not is_small and NOT_MEASURED not in label:
            compared[attribute].append(place)
    names = [label for _, label, _ in members]
    gaps = {
        attribute: {metric: _gap(names, places, values, samples, metric) for metric in WORST_OF}
        for attribute, places in compared.items()
        if len(places) > 1
    }
    return Evaluated(tables, gaps)


def _gap(
    names: Sequence[str], places: list[int], values: FloatArray, samples: FloatArray, metric: str
) -> Gap:
    """Return one gap among the groups in some places; the last place is that of all faces."""
    column = SUBGROUP_METRICS.index(metric)
    of_groups = values[places, column]
    worst, best = places[of_groups.argmax()], places[of_groups.argmin()]
    if WORST_OF[metric] is min:
        worst, best = best, worst

    def difference(other: int) -> Estimate:
        return estimate(
            values[worst, column] - values[other, column],
            samples[worst, column] - samples[other, column],
        )

    return Gap(
        worst=names[worst],
        best=names[best],
        worst_minus_best=difference(best),
        worst_minus_all=difference(-1),
    )
