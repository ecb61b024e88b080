"""Judging one model: from faces and predictions to all its numbers, and its worst faces."""

import numpy as np
import pandas as pd
import pytest

from utkface.evaluation.evaluate import (
    evaluate_model,
    evaluate_overall,
    find_hardest,
    paired_difference,
)
from utkface.evaluation.metrics import METRICS, WeightedMetrics
from utkface.evaluation.records import Estimate, ModelEvaluation
from utkface.io import UserError

NUM_FACES, NUM_SEEDS, NUM_RESAMPLES = 300, 3, 60


@pytest.fixture
def faces() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "file": [f"{number}.jpg" for number in range(NUM_FACES)],
            "group": np.arange(NUM_FACES) // 2,
            "age": rng.integers(1, 110, NUM_FACES),
            "gender": rng.integers(0, 2, NUM_FACES),
            "race": rng.integers(0, 5, NUM_FACES),
            "luminance": rng.normal(120, 20, NUM_FACES),
        },
        index=rng.permutation(NUM_FACES),  # rows keep the numbers that they had among all faces
    )


@pytest.fixture
def predictions(faces) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    age_years = faces["age"].to_numpy() + rng.normal(0, 6, (NUM_SEEDS, NUM_FACES))
    probability = 0.4 * faces["gender"].to_numpy() + 0.6 * rng.random((NUM_SEEDS, NUM_FACES))
    return age_years.astype(np.float32), probability.astype(np.float32)


def test_a_row_says_all_of_it_in_strict_json(faces, predictions) -> None:
    row = evaluate_model(faces, *predictions, num_resamples=NUM_RESAMPLES)
    assert ModelEvaluation.model_validate_json(row.model_dump_json()) == row
    assert (row.num_faces, row.num_groups, row.num_seeds) == (NUM_FACES, 150, NUM_SEEDS)
    assert tuple(row.overall) == METRICS
    assert set(row.subgroups) == {
        "age",
        "gender",
        "race",
        "luminance",
        "age_gender",
        "race_gender",
        "luminance_gender",
        "luminance_age",
        "age_of_reference",
    }
    assert row.interval is None
    counts = np.sum(list(row.confusion.values()), axis=0)
    assert counts.sum() == pytest.approx(NUM_FACES)
    assert counts[0].sum() == pytest.approx((faces["gender"] == 0).sum())
    assert np.trace(counts) / NUM_FACES == pytest.approx(row.overall["gender_accuracy"].value)


def test_a_value_is_the_mean_of_each_seeds_metric_with_its_spread(faces, predictions) -> None:
    overall = evaluate_model(faces, *predictions, num_resamples=NUM_RESAMPLES).overall
    age, gender = faces["age"].to_numpy(), faces["gender"].to_numpy()
    points = [
        WeightedMetrics(age, gender, *map(np.float64, predicted))(np.ones((NUM_FACES, 1)))
        for predicted in zip(*predictions, strict=True)
    ]
    for entry, per_seed in zip(overall.values(), np.hstack(points), strict=True):
        assert entry.per_seed == pytest.approx(per_seed)
        assert entry.value == pytest.approx(np.mean(per_seed))
        assert entry.spread == pytest.approx(np.std(per_seed, ddof=1))
        assert entry.low < entry.high


def test_the_order_of_faces_and_of_seeds_does_not_change_a_value(faces, predictions) -> None:
    order = np.random.default_rng(2).permutation(NUM_FACES)
    row = evaluate_model(faces, *predictions, num_resamples=NUM_RESAMPLES)
    shuffled = evaluate_model(
        faces.iloc[order],
        *(array[::-1, order] for array in predictions),
        num_resamples=NUM_RESAMPLES,
    )
    # Groups keep their names, so even the resamples are the same.
    for name in METRICS:
        for key in ("value", "low", "high", "spread"):
            assert getattr(shuffled.overall[name], key) == pytest.approx(
                getattr(row.overall[name], key)
            )
    assert shuffled.confusion == row.confusion
    assert shuffled.gaps.keys() == row.gaps.keys()


def test_a_seed_repeats_a_row_exactly(faces, predictions) -> None:
    first, again, other = (
        evaluate_model(faces, *predictions, num_resamples=NUM_RESAMPLES, seed=seed)
        for seed in (5, 5, 6)
    )
    assert first == again
    assert first.overall["age_mae"].low != other.overall["age_mae"].low
    assert first.overall["age_mae"].value == other.overall["age_mae"].value


def test_what_is_said_over_all_faces_alone_is_what_the_whole_row_says(faces, predictions) -> None:
    alone = evaluate_overall(faces, *predictions)
    assert dict(alone).items() <= dict(evaluate_model(faces, *predictions)).items()
    assert alone.num_groups == 150


def test_faces_of_one_gender_and_age_make_a_row_with_blanks(faces, predictions) -> None:
    faces["gender"], faces["age"] = 0, 26
    row = evaluate_model(faces, *predictions, num_resamples=NUM_RESAMPLES)
    for name in ("age_r2", "gender_roc_auc", "gender_pr_auc", "gender_recall"):
        assert row.overall[name].value is None
        assert row.overall[name].per_seed == [None] * NUM_SEEDS
    assert list(row.confusion) == ["24–29"]


@pytest.mark.filterwarnings("error")
def test_a_single_face_and_seed_make_a_row_too(faces, predictions) -> None:
    of_one = (array[:1, :1] for array in predictions)
    row = evaluate_model(faces.iloc[:1], *of_one, num_resamples=NUM_RESAMPLES)
    assert row.subgroups["gender"][0].small
    assert row.gaps == {}
    assert (row.num_seeds, row.overall["age_mae"].spread) == (1, None)


def test_coverage_of_intervals_is_counted_with_an_interval_of_its_own(faces, predictions) -> None:
    age = faces["age"].to_numpy()
    low = np.tile(age - 5.0, (NUM_SEEDS, 1))
    high = np.tile(age + 5.0, (NUM_SEEDS, 1))
    low[:, : NUM_FACES // 4] = high[:, : NUM_FACES // 4]  # a quarter of all ages is left outside
    row = evaluate_model(faces, *predictions, num_resamples=NUM_RESAMPLES, interval=(low, high))
    assert row.interval.level == 0.9
    assert row.interval.mean_width_years == pytest.approx(7.5)
    coverage = row.interval.coverage
    assert coverage.value == pytest.approx(0.75)
    assert coverage.low < 0.75 < coverage.high


def test_a_model_does_not_differ_from_itself(faces, predictions) -> None:
    difference = paired_difference(faces, predictions, predictions, num_resamples=NUM_RESAMPLES)
    for _, entry in difference:
        assert entry == Estimate(value=0.0, low=0.0, high=0.0)


def test_what_another_seed_would_give_widens_the_interval_of_a_difference(faces) -> None:
    age, gender = (faces[name].to_numpy(np.float64) for name in ("age", "gender"))
    rng = np.random.default_rng(0)
    years = age + rng.normal(0, 5, len(age))
    # The same faces are hard for all; what a seed is luckier by is the same for all faces.
    sign = np.sign(years - age)
    luck = np.array([0.3, -0.2, 0.1, -0.3])[:, None] * sign
    probability = np.full((4, len(age)), 0.9) * gender + 0.05

    def width(num_seeds: int) -> float:
        a = (years + luck[:num_seeds], probability[:num_seeds])
        b = (np.tile(years, (num_seeds, 1)), probability[:num_seeds])
        entry = paired_difference(faces, a, b, num_resamples=NUM_RESAMPLES).age_mae
        return entry.high - entry.low

    assert width(1) < 0.01  # every face's error is larger by 0.3: faces say nothing of it
    assert 0.3 < width(4) < 0.6


def test_a_difference_is_that_of_the_two_rows_even_with_fewer_seeds(faces, predictions) -> None:
    model_b = tuple(array[:1] for array in predictions)
    difference = paired_difference(faces, predictions, model_b, num_resamples=NUM_RESAMPLES)
    a, b = (
        evaluate_model(faces, *model, num_resamples=NUM_RESAMPLES).overall
        for model in (predictions, model_b)
    )
    for name, entry in difference:
        assert entry.value == pytest.approx(a[name].value - b[name].value)


def test_pairing_sees_a_difference_that_separate_intervals_hide(faces, predictions) -> None:
    age_years, probability = predictions
    age = faces["age"].to_numpy()
    worse = age + 1.05 * (age_years - age)  # the same mistakes, each a little larger
    difference = paired_difference(
        faces, (worse, probability), predictions, num_resamples=NUM_RESAMPLES
    )
    a, b = (
        evaluate_model(faces, years, probability, num_resamples=NUM_RESAMPLES).overall["age_mae"]
        for years in (worse, age_years)
    )
    assert a.low < b.high
    assert difference.age_mae.low > 0


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("do not fit 299 faces", lambda faces, age, p: (faces.iloc[1:], age, p)),
        ("lacks the columns group", lambda faces, age, p: (faces.drop(columns="group"), age, p)),
        ("no faces", lambda faces, age, p: (faces.iloc[:0], age[:, :0], p[:, :0])),
        ("not finite", lambda faces, age, p: (faces, np.where(age > 50, np.nan, age), p)),
        (r"outside 0\.\.1", lambda faces, age, p: (faces, age, p * 2)),
        ("lack an interval", lambda faces, age, p: (faces, age, p, (age, age * np.nan))),
        ("intervals of shape", lambda faces, age, p: (faces, age, p, (age, age[:1]))),
    ],
)
def test_input_that_does_not_fit_is_refused(faces, predictions, message, change) -> None:
    faces, age_years, probability, *interval = change(faces, *predictions)
    with pytest.raises(UserError, match=message):
        evaluate_model(faces, age_years, probability, interval=interval[0] if interval else None)


def hardest(age, gender, group, age_years, probability, num):
    """Return the positions of the largest age errors and of the surest wrong genders."""
    faces = pd.DataFrame({"age": age, "gender": gender, "group": group})
    found = find_hardest(faces, np.array(age_years, float), np.array(probability), num)
    return found.ages.tolist(), found.genders.tolist()


@pytest.mark.parametrize(
    ("num", "expected"), [(2, ([1, 3], [3, 0])), (9, ([1, 3, 0, 2], [3, 0, 1]))]
)
def test_the_known_worst_come_first_and_right_genders_not_at_all(num, expected):
    age_years = [[12, 60, 30, 10], [12, 60, 32, 20]]  # errors 2, 40, 1, 25
    probability = [[0.9, 0.4, 0.1, 0.01], [0.7, 0.2, 0.1, 0.03]]  # wrong: 0, 1, 3
    faces = [10, 20, 30, 40], [0, 1, 0, 1], range(4)
    assert hardest(*faces, age_years, probability, num) == expected


def test_seeds_are_averaged_before_judging():
    age_years = [[10, 33], [50, 33]]  # face 0 is off by 20, right on average
    probability = [[0.2, 0.4], [0.9, 0.5]]
    found = hardest([30, 30], [1, 1], range(2), age_years, probability, 2)
    assert found == ([1, 0], [1])


def test_of_copies_only_the_worst_is_given():
    found = hardest([1, 2, 50], [0, 0, 0], [7, 7, 8], [[40, 45, 60]], [[0.8, 0.9, 0.1]], 3)
    assert found == ([1, 2], [1])
