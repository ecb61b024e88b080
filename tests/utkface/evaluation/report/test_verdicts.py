"""Paired differences: who is better by how much, and if these faces can show it."""

import pytest

from utkface.evaluation.report.measures import MEASURES
from utkface.evaluation.report.verdicts import find_verdicts


def difference(value, low, high):
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("name", "a_minus_b", "verdict", "is_real"),
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
def test_a_difference_is_told_from_the_side_of_the_first(name, a_minus_b, verdict, is_real):
    ((metric, said),) = find_verdicts({name: difference(*a_minus_b)}).items()
    assert metric == name
    assert said.title == MEASURES[name].title
    assert said.text.startswith(verdict)
    assert said.is_real is is_real
    assert said.text.endswith(
        "a difference" if is_real else "no difference that these faces can show"
    )


def test_a_difference_without_an_interval_is_none():
    said = find_verdicts({"age_mae": difference(-1.0, None, None)})["age_mae"]
    assert said.text == "better by 1.00 years; without an interval that says little"
    assert not said.is_real


def test_what_was_not_measured_has_no_verdict():
    assert find_verdicts({"age_mae": difference(None, None, None), "a": "trial 9"}) == {}
