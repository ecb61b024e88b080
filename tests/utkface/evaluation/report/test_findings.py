"""What an evaluation says: its headline, and which of two models is better, if that can be seen."""

import pytest

from utkface.evaluation.records import Difference, Estimate, Row
from utkface.evaluation.report.findings import (
    compare,
    find_headlines,
    headline_sentence,
    order_rows,
)
from utkface.evaluation.report.text import MEASURES, show_fixed


def row(label, protocol="grouped", score=1.0, part="test", headline=False, **values):
    values = {"overall": {"score": {"value": score}}, "num_faces": 9, "num_seeds": 3, **values}
    return Row(label=label, protocol=protocol, part=part, headline=headline, **values)


def test_the_headline_is_the_one_that_was_chosen_and_not_the_best():
    rows = [
        row("validated", part="validation", score=0.1), row("best", score=0.8),
        row("chosen", score=0.9, headline=True), row("unmeasured", score=None),
        row("chosen", "random", 0.95, headline=True),
    ]  # fmt: skip
    found = [(r.label, r.protocol) for r in find_headlines(rows)]
    assert found == [("chosen", "grouped"), ("chosen", "random")]
    labels = [r.label for r in order_rows(rows)]
    assert labels == ["chosen", "best", "unmeasured", "chosen", "validated"]
    assert find_headlines([]) == []


def test_the_headline_says_interval_protocol_and_seeds():
    overall = {
        "age_mae": {"value": 4.5, "low": 4.4, "high": 4.61},
        "gender_accuracy": {"value": 0.9456, "low": 0.94, "high": 0.951},
    }
    said = headline_sentence(row("trial 9", overall=overall, num_faces=4741, num_seeds=1))
    assert said == (
        "On 4,741 photographs that it never saw (grouped split, 1 seed) trial 9 is wrong in age by "
        "4.50 years on average (95 % interval 4.40 to 4.61) and right in gender for 94.6 % "
        "(94.0 to 95.1)."
    )


def test_what_rounds_to_zero_has_no_sign():
    assert [show_fixed(value, 1) for value in (-0.04, -0.06)] == ["0.0", "−0.1"]
    assert [MEASURES["age_mae"].show_signed(v) for v in (1.0, -1.0, None)] == [
        "+1.00",
        "−1.00",
        "–",
    ]


def difference(name, value, low, high):
    nothing = dict.fromkeys(Difference.model_fields, Estimate())
    return Difference(**{**nothing, name: Estimate(value=value, low=low, high=high)})


@pytest.mark.parametrize(
    ("name", "a_minus_b", "text", "is_real"),
    [
        ("age_mae", (-0.12, -0.20, -0.03), "better by 0.12 years, interval 0.03 to 0.20", True),
        ("age_mae", (0.12, 0.03, 0.20), "worse by 0.12 years, interval 0.03 to 0.20", True),
        ("age_mae", (-0.02, -0.09, 0.05), "better by 0.02 years, interval −0.05 to 0.09", False),
        ("age_mae", (0.02, -0.05, 0.09), "worse by 0.02 years, interval −0.05 to 0.09", False),
        ("gender_accuracy", (0.01, 0.002, 0.02), "better by 1.0 points", True),
        ("gender_accuracy", (-0.01, -0.02, 0.001), "worse by 1.0 points", False),
        ("score", (0.0, 0.0, 0.0), "better by 0.000, interval 0.000 to 0.000", False),
    ],
)
def test_a_difference_is_told_from_the_side_of_the_first(name, a_minus_b, text, is_real):
    ((metric, said),) = compare(difference(name, *a_minus_b)).items()
    assert metric == name
    assert said.title == MEASURES[name].title
    assert said.text.startswith(text)
    assert said.is_real is is_real
    assert said.text.endswith(
        "a difference" if is_real else "no difference that these faces can show"
    )


def test_a_difference_without_an_interval_is_none():
    said = compare(difference("age_mae", -1.0, None, None))["age_mae"]
    assert said.text == "better by 1.00 years; without an interval that says little"
    assert not said.is_real


def test_what_was_not_measured_is_not_compared():
    assert compare(difference("age_mae", None, None, None)) == {}
