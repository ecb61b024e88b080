import math

import pytest

from tune.records.trials import seconds_between, split_differing
from tune.report.analysis import (
    Agreement,
    Metric,
    find_comparable,
    find_leads,
    find_margins,
    finishes,
    judge_parameters,
    judge_rungs,
    rank_finite,
)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1, 10), (2, 20), (3, 90)], 1),
        ([(1, 3), (2, 2), (3, 1)], -1),
        # By hand: rank differences 0, 1, 1, 0 give 1 - 6·2 / (4·15) = 0.8.
        ([(1, 1), (2, 3), (3, 2), (4, 4)], 0.8),
        ([(1, 1), (2, 2)], math.nan),
        ([(1, 1), (1, 2), (1, 3)], math.nan),
        ([], math.nan),
    ],
)
def test_rank_correlation_of_known_cases(pairs, expected):
    assert Agreement(pairs).correlation == pytest.approx(expected, nan_ok=True)


def test_interval_narrows_with_trials_and_holds_its_estimate():
    pairs = [(1, 1), (2, 3), (3, 2), (4, 4)]
    few, many = Agreement(pairs * 2), Agreement(pairs * 20)
    assert few.interval[0] < many.interval[0] < many.correlation
    assert many.correlation < many.interval[1] < few.interval[1] < 1
    assert all(map(math.isnan, Agreement(pairs).interval))


def test_rungs_count_arrivals_and_correlate_survivors_only(record):
    records = [
        record(0, [3.0, 2.0, 1.0]),
        record(1, [4.0, 3.0, 2.0]),
        record(2, [5.0, 4.0, 3.0]),
        record(3, [9.0], "PRUNED"),
        record(4, [2.0, 9.0], "PRUNED"),
        record(5, [], "FAIL"),
        record(6, [9.0], "PRUNED", reason="the loss is nan"),  # diverged: no rung stopped it
    ]
    first, second = judge_rungs(records, [1, 2], last_epoch=3)
    assert (first.num_arrived, first.num_stopped) == (6, 1)
    assert (second.num_arrived, second.num_stopped) == (4, 1)
    assert first.end.pairs == [(3.0, 1.0), (4.0, 2.0), (5.0, 3.0)]
    assert first.end.correlation == pytest.approx(1)
    # Trial 4 was first at the first rung and last at the second: by hand 1 - 6·12 / (4·15).
    assert len(first.next.pairs) == 4
    assert first.next.correlation == pytest.approx(-0.2)


def test_what_differs_is_all_that_differs():
    differing, common = split_differing(
        [
            {"lr": 0.1, "flip": True, "nan": math.nan, "size": 64},
            {"lr": 0.2, "flip": 1, "nan": math.nan, "size": 64.0, "extra": "a"},
        ]
    )
    assert differing == {"lr": [0.1, 0.2], "flip": [True, 1], "extra": [None, "a"]}
    assert common.keys() == {"nan", "size"}
    assert split_differing([]) == ({}, {})


def test_only_full_trials_with_a_finite_score_can_be_best(record):
    records = [
        record(0, [0.5], "PRUNED"),
        record(1, [3.0, 2.0]),
        record(2, [3.0, math.nan]),
        record(3, [3.0, 1.0]),
        record(4, [0.1, 0.1], "RUNNING"),
    ]
    assert [r.number for r in rank_finite(records)] == [3, 1]


def test_trials_finish_by_the_clock(record):
    records = [
        record(0, [1.0], ended="2026-01-01T10:30:00"),
        record(1, [2.0], ended="2026-01-01T10:10:00"),
        record(2, [1.5], ended="2026-01-01T10:20:00"),
    ]
    done = finishes(records, "2026-01-01T10:00:00")
    assert [(f.number, f.time_s, f.score) for f in done] == [
        (1, 600, 2.0),
        (2, 1200, 1.5),
        (0, 1800, 1.0),
    ]


def test_times_may_be_missing_or_have_a_zone():
    assert seconds_between("2026-01-01T10:00:00+00:00", "2026-01-01T12:00:30+02:00") == 30
    assert math.isnan(seconds_between(None, "2026-01-01T10:00:00"))
    assert math.isnan(seconds_between("yesterday", "2026-01-01T10:00:00"))
    assert math.isnan(seconds_between("2026-01-01T10:00:01", "2026-01-01T10:00:00"))


def test_trials_are_compared_after_the_latest_epoch_that_enough_reached(record):
    complete = [record(i, [3.0, 2.0, 1.0]) for i in range(20)]
    stopped = [record(i, [4.0], "PRUNED") for i in range(20, 60)]
    assert find_comparable(complete + stopped, [1, 3]).epoch == 3
    few = find_comparable(complete[:5] + stopped, [1, 3])
    assert (few.epoch, len(few.pairs)) == (1, 45)
    scores = [score for _, score in few.pairs]
    assert scores == sorted(scores)
    assert find_comparable([], [1]).pairs == []


def test_importance_finds_what_matters_and_calls_the_rest_chance(make_search):
    made = make_search(120)
    importances = judge_parameters(find_comparable(made.records, [1, 3, 6]), made.study)
    first, *others = importances.parameters
    assert first.name == "max_lr"  # the only one that the made-up scores depend on
    assert first.share > first.chance
    assert sum(item.share for item in importances.parameters) == pytest.approx(1)
    assert sum(item.share > item.chance for item in others) <= 1
    conditional = next(item for item in others if item.name == "oversample_balance")
    assert 0 < conditional.num_trials < importances.num_trials


def test_importance_of_few_trials_is_not_made_up(make_search):
    made = make_search(9)
    assert judge_parameters(find_comparable(made.records, [1, 3, 6]), made.study) is None


def test_intervals_are_those_of_as_many_faces(record):
    """Known answers: ±0.13 years and ±0.7 points over the reference's 4,740 test faces."""
    trial = record(0, [1.0])
    trial.epochs[-1].update(age_mae=4.7, gender_accuracy=0.937)
    margins = find_margins(trial, 4740)
    assert margins.age_mae == pytest.approx(0.13, abs=0.005)
    assert margins.gender_accuracy == pytest.approx(0.007, abs=0.0005)
    # The standard error of the score that was measured over 3,793 faces.
    trial.epochs[-1].update(age_mae=5.591, gender_accuracy=0.9170)
    assert find_margins(trial, 3793).score / 1.96 == pytest.approx(0.038, abs=0.001)
    trial.epochs[-1].pop("gender_accuracy")
    assert math.isnan(find_margins(trial, 3793).score)


def test_only_what_chance_does_not_explain_is_a_lead(record):
    best, near, far = record(0, [1.0]), record(1, [1.05]), record(2, [2.0])
    leads = find_leads(best, [near, far], 3800)
    assert [(lead.over, lead.is_clear) for lead in leads] == [(1, False), (2, True)]
    assert leads[0].value == pytest.approx(0.05)
    assert all(lead.high - lead.value > find_margins(best, 3800).score for lead in leads)
    many = find_leads(best, [near], 1_000_000)
    assert many[0].is_clear


def test_a_metric_is_called_by_its_name_without_its_unit():
    assert Metric("age_mae").title == "Age MAE"
