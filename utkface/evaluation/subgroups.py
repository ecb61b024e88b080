"""Errors by subgroup of faces: who they are, and how good their photographs are.

fairlearn's MetricFrame gives the same values (a test holds us to it), but its bootstrap draws
single rows, as if copies of one photograph were independent, and takes 20 minutes for a model. The
three metrics here are means over faces, so the weights of `utkface.evaluation.bootstrap` give them
for all resamples in one product per group.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from utkface.data.labels import GENDERS, RACES, REFERENCE_AGE_BINS, age_bin, bin_labels
from utkface.evaluation.bootstrap import Bootstrap, estimate
from utkface.evaluation.metrics import MEAN_METRICS, FloatArray, IntArray, weighted_mean
from utkface.evaluation.photo_measures import find_measured
from utkface.evaluation.records import SMALL_GROUP_FACES, Estimate, Gap, Group

SUBGROUP_METRICS = ("age_mae", "age_bias", "gender_accuracy")
#: Metrics that groups are compared by, and the end of the scale where the worst group is.
WORST_END = {"age_mae": "high", "gender_accuracy": "low"}

NOT_MEASURED = "not measured"

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
    measured = {
        measure.name: _cut(faces[measure.name].to_numpy(np.float64), measure.edges)
        for measure in find_measured(faces)
    }
    luminance = {name: by for name, by in measured.items() if name == "luminance"}
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
        **measured,
        **_poor(faces),
    }


def _product(first: Assignment, second: Assignment) -> Assignment:
    """Return both attributes as one, ``24–29 × female``."""
    pairs = itertools.product(first.labels, second.labels)
    codes = first.codes * len(second.labels) + second.codes
    return Assignment(codes, [f"{left} × {right}" for left, right in pairs])


def _cut(values: FloatArray, edges: tuple[float, ...]) -> Assignment:
    """Return a measure of photographs cut into bins, without edges into fifths."""
    known = np.isfinite(values)
    if not edges:  # fewer than five where many values are equal
        inner = np.unique(np.quantile(values[known], [0.2, 0.4, 0.6, 0.8]))
        edges = (-np.inf, *inner.tolist(), np.inf)
    codes = np.full(len(values), len(edges) - 1)
    codes[known] = np.searchsorted(edges[1:-1], values[known], side="right")
    return Assignment(codes, [*interval_labels(edges), NOT_MEASURED])


def _poor(faces: pd.DataFrame) -> dict[str, Assignment]:
    """Return by how many measures a photograph is among the poorest fifth of the faces at hand."""
    measures = [measure for measure in find_measured(faces) if measure.poor_end]
    table = pd.DataFrame({m.name: m.poor_end * faces[m.name] for m in measures})
    if len(table.columns) < 2:
        return {}
    num_poor = (table > table.quantile(1 - _POOR_SHARE)).sum(axis=1).clip(upper=3)
    codes = num_poor.where(table.notna().all(axis=1), len(_POOR_LABELS)).to_numpy(np.int64)
    return {"poor_quality": Assignment(codes, [*_POOR_LABELS, NOT_MEASURED])}


def interval_labels(edges: tuple[float, ...]) -> list[str]:
    """Return each bin of a measure as text: ``<25``, ``25–35`` … ``55+``."""
    # Four figures of an edge, without an exponent for the large ones.
    texts = [f"{edge:.0f}" if abs(edge) >= 1000 else f"{edge:.4g}" for edge in edges]
    labels = [f"{low}–{high}" for low, high in itertools.pairwise(texts)]
    if np.isinf(edges[-1]):
        labels[-1] = f"{texts[-2]}+"
    if np.isinf(edges[0]):
        labels[0] = f"<{texts[1]}"
    return labels


def evaluate_subgroups(
    subgroups: dict[str, Assignment], terms: FloatArray, bootstrap: Bootstrap
) -> tuple[dict[str, list[Group]], dict[str, dict[str, Gap]]]:
    """Return the metrics of every subgroup that has faces, and the gaps, with intervals.

    Both are by attribute, gaps also by metric.

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
    groups = []
    for (_, label, faces), *of_group in zip(members, values[:-1], samples[:-1], strict=True):
        estimates = dict(zip(SUBGROUP_METRICS, map(estimate, *of_group), strict=True))
        is_small = len(faces) < SMALL_GROUP_FACES
        groups.append(Group(group=label, num_faces=len(faces), small=is_small, **estimates))
    tables: dict[str, list[Group]] = {}
    gaps: dict[str, dict[str, Gap]] = {}
    for attribute in subgroups:
        places = [place for place, (of, *_) in enumerate(members) if of == attribute]
        tables[attribute] = [groups[place] for place in places]
        compared = [
            place
            for place in places
            if not groups[place].small and NOT_MEASURED not in groups[place].group
        ]
        if len(compared) > 1:
            gaps[attribute] = {
                metric: _gap(groups, compared, values, samples, metric) for metric in WORST_END
            }
    return tables, gaps


def _gap(
    groups: Sequence[Group],
    places: list[int],
    values: FloatArray,
    samples: FloatArray,
    metric: str,
) -> Gap:
    """Return one gap among the groups in some places; the last place is that of all faces."""
    column = SUBGROUP_METRICS.index(metric)
    values, samples = values[:, column], samples[:, column]
    ends = places[values[places].argmin()], places[values[places].argmax()]
    worst, best = ends if WORST_END[metric] == "low" else ends[::-1]

    def difference(other: int) -> Estimate:
        return estimate(values[worst] - values[other], samples[worst] - samples[other])

    return Gap(
        worst=groups[worst].group,
        best=groups[best].group,
        worst_minus_best=difference(best),
        worst_minus_all=difference(-1),
    )
