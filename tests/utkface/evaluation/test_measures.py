"""How metrics and differences between models are written."""

import pytest

from utkface.evaluation.measures import MEASURES, compare, show_fixed
from utkface.evaluation.records import Difference, Estimate


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
