"""Subgroups: everybody is in one group of each attribute, and the values are fairlearn's."""

import numpy as np
import pandas as pd
import pytest

from utkface.evaluation.bootstrap import Bootstrap
from utkface.evaluation.metrics import MEAN_METRICS, per_face_terms
from utkface.evaluation.photo_measures import PHOTO_MEASURES
from utkface.evaluation.records import SMALL_GROUP_FACES, Estimate, Gap
from utkface.evaluation.subgroups import (
    NOT_MEASURED,
    Assignment,
    assign_subgroups,
    evaluate_subgroups,
    interval_labels,
)

NUM_FACES = 400
QUALITY = ("luminance", "brisque", "contrast", "colour_variance")


@pytest.fixture
def faces() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "group": np.arange(NUM_FACES),
            "age": rng.integers(1, 110, NUM_FACES),
            "gender": rng.integers(0, 2, NUM_FACES),
            "race": rng.integers(0, 4, NUM_FACES),  # nobody of the last race
        }
    )
    for column in QUALITY:
        table[column] = rng.normal(100, 30, NUM_FACES)
    return table


def tables_of(faces: pd.DataFrame, age_years, probability) -> dict:
    terms = per_face_terms(
        faces["age"].to_numpy(), faces["gender"].to_numpy(), age_years, probability
    )
    bootstrap = Bootstrap(faces.group.to_numpy(), num_resamples=50)
    return evaluate_subgroups(assign_subgroups(faces), terms, bootstrap)[0]


def test_groups_are_named_and_ordered_for_a_reader(faces) -> None:
    subgroups = assign_subgroups(faces)
    assert subgroups["age"].labels[:2] == ["0–3", "4–13"]
    assert subgroups["race_gender"].labels[:3] == ["White × male", "White × female", "Black × male"]
    assert subgroups["luminance"].labels[0] == "0–85"
    assert subgroups["brisque"].labels[:2] == ["<25", "25–35"]
    first = faces.iloc[0]
    of_first = {name: labels[codes[0]] for name, (codes, labels) in subgroups.items()}
    assert of_first["age_gender"] == f"{of_first['age']} × {of_first['gender']}"
    assert of_first["gender"] == ("male", "female")[int(first["gender"])]


def test_every_attribute_divides_all_faces(faces) -> None:
    faces.loc[:4, "contrast"] = np.nan
    tables = tables_of(faces, faces["age"].to_numpy() + 1.0, np.full(NUM_FACES, 0.7))
    assert set(tables) == {
        "age", "gender", "race", "age_gender", "race_gender", "luminance_gender", "luminance_age",
        "age_of_reference", "poor_quality", *QUALITY,
    }  # fmt: skip
    for table in tables.values():
        assert sum(row.num_faces for row in table) == NUM_FACES
        assert all(row.num_faces > 0 for row in table)
    assert tables["contrast"][-1].group == NOT_MEASURED
    assert tables["contrast"][-1].num_faces == 5


def test_the_reference_counts_an_age_at_an_edge_to_the_bin_below(faces) -> None:
    faces.loc[:2, "age"] = [4, 14, 80]
    codes, labels = assign_subgroups(faces)["age_of_reference"]
    assert [labels[code] for code in codes[:3]] == ["0–4", "5–14", "71–80"]


def test_poor_photographs_are_poor_by_several_measures(faces) -> None:
    for column in ("laplacian_variance", "high_frequency_energy", "contrast", "entropy"):
        faces[column] = np.arange(NUM_FACES)  # the lowest fifth is poor
    faces["brisque"] = np.arange(NUM_FACES)  # the highest fifth is
    faces.loc[200, "contrast"] = np.nan
    codes, labels = assign_subgroups(faces)["poor_quality"]
    assert [labels[codes[row]] for row in (0, 79, 150, 200, NUM_FACES - 1)] == [
        "in three or more", "in three or more", "in none", NOT_MEASURED, "in one",
    ]  # fmt: skip
    poor = [name for name, measure in PHOTO_MEASURES.items() if measure.poor_end]
    known = [column for column in faces if column not in poor or column == "contrast"]
    assert "poor_quality" not in assign_subgroups(faces[known])


def test_a_measure_that_nobody_has_is_left_out(faces) -> None:
    faces["luminance"] = np.nan
    assert "luminance" not in assign_subgroups(faces.drop(columns="brisque"))
    assert "brisque" not in assign_subgroups(faces.drop(columns="brisque"))


def test_a_measure_without_edges_is_cut_into_fifths(faces) -> None:
    codes, labels = assign_subgroups(faces)["contrast"]
    assert np.bincount(codes).tolist() == [80] * 5
    assert labels[0].startswith("<")
    assert labels[4].endswith("+")


def test_a_constant_measure_is_one_group(faces) -> None:
    faces["contrast"] = 3.0
    codes, labels = assign_subgroups(faces)["contrast"]
    assert [labels[code] for code in np.unique(codes)] == ["3+"]


def test_edges_are_written_without_exponents() -> None:
    assert interval_labels((-np.inf, 0.12345, 7, 12345.6, np.inf)) == [
        "<0.1235",
        "0.1235–7",
        "7–12346",
        "12346+",
    ]


def test_values_are_those_of_fairlearn(faces) -> None:
    fairlearn = pytest.importorskip("fairlearn.metrics", reason="fairlearn checks our subgroups")
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    age_years = faces["age"].to_numpy() + rng.normal(0, 5, NUM_FACES)
    probability = rng.random(NUM_FACES)
    tables = tables_of(faces, age_years, probability)
    subgroups = assign_subgroups(faces)
    for attribute, (codes, labels) in subgroups.items():
        features = pd.Series([labels[code] for code in codes], name=attribute)
        age_frame = fairlearn.MetricFrame(
            metrics=sklearn_metrics.mean_absolute_error,
            y_true=faces["age"],
            y_pred=age_years,
            sensitive_features=features,
        )
        gender_frame = fairlearn.MetricFrame(
            metrics=sklearn_metrics.accuracy_score,
            y_true=faces["gender"],
            y_pred=probability > 0.5,
            sensitive_features=features,
        )
        ours = {row.group: row for row in tables[attribute]}
        assert set(ours) == set(age_frame.by_group.index)
        for label, row in ours.items():
            assert row.age_mae.value == pytest.approx(age_frame.by_group[label])
            assert row.gender_accuracy.value == pytest.approx(gender_frame.by_group[label])


def test_seeds_averaged_first_give_the_mean_of_each_seeds_metrics(faces) -> None:
    rng = np.random.default_rng(2)
    age, gender = faces["age"].to_numpy(), faces["gender"].to_numpy()
    age_years, probability = age + rng.normal(0, 5, (2, NUM_FACES)), rng.random((2, NUM_FACES))
    bootstrap = Bootstrap(faces.group.to_numpy(), num_resamples=50)
    terms = per_face_terms(age, gender, age_years, probability).mean(axis=1)
    tables, _ = evaluate_subgroups(assign_subgroups(faces), terms, bootstrap)
    both = tables["race"][0]
    single = [
        tables_of(faces, *predicted)["race"][0]
        for predicted in zip(age_years, probability, strict=True)
    ]
    for name in ("age_mae", "age_bias", "gender_accuracy"):
        mean = np.mean([getattr(row, name).value for row in single])
        assert getattr(both, name).value == pytest.approx(mean)


def test_gaps_keep_their_sign_and_pass_over_small_and_unmeasured_groups() -> None:
    sizes = {"a": 100, "b": SMALL_GROUP_FACES, "tiny": SMALL_GROUP_FACES - 1, NOT_MEASURED: 100}
    mae = {"a": 4.0, "b": 6.0, "tiny": 50.0, NOT_MEASURED: 40.0}
    accuracy = {"a": 0.9, "b": 1.0, "tiny": 0.1, NOT_MEASURED: 0.2}
    codes = np.repeat(np.arange(4), list(sizes.values()))
    terms = np.zeros((len(MEAN_METRICS), len(codes)))
    for metric, of_groups in (("age_mae", mae), ("gender_accuracy", accuracy)):
        terms[MEAN_METRICS.index(metric)] = np.array(list(of_groups.values()))[codes]
    groups = {"race": Assignment(codes, list(sizes))}
    lone = {"gender": Assignment(np.where(codes == 2, 1, 0), ["all", "tiny"])}
    bootstrap = Bootstrap(np.arange(len(codes)), num_resamples=50)
    _, gaps = evaluate_subgroups(groups | lone, terms, bootstrap)
    assert set(gaps) == {"race"}  # one comparable group is no comparison
    age_gap, gender_gap = gaps["race"]["age_mae"], gaps["race"]["gender_accuracy"]
    assert (age_gap.worst, age_gap.best) == ("b", "a")
    # Every face of a group is alike, so nothing is uncertain.
    between = age_gap.worst_minus_best
    assert (between.value, between.low, between.high) == pytest.approx((2.0, 2.0, 2.0))
    of_all = terms[MEAN_METRICS.index("age_mae")].mean()
    assert age_gap.worst_minus_all.value == pytest.approx(6.0 - of_all)
    assert age_gap.worst_minus_all.low < age_gap.worst_minus_all.value
    assert (gender_gap.worst, gender_gap.best) == ("a", "b")
    assert gender_gap.worst_minus_best.value == pytest.approx(-0.1)


def test_a_gap_of_an_older_evaluation_has_no_interval() -> None:
    older = {"worst": "b", "best": "a", "worst_minus_best": 2.0, "worst_minus_all": 1.5}
    assert Gap.model_validate(older).worst_minus_best == Estimate(value=2.0)
