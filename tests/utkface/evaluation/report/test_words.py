import pytest

from utkface.evaluation.report.measures import MEASURES
from utkface.evaluation.report.text import show_fixed
from utkface.evaluation.report.words import (
    compare_sentences,
    find_headlines,
    headline_sentence,
    order_rows,
)


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
    ((title, text, said),) = compare_sentences({name: difference(*a_minus_b)})
    assert title == MEASURES[name].title
    assert text.startswith(verdict)
    assert said is is_real
    assert text.endswith("a difference" if is_real else "no difference that these faces can show")


def test_a_difference_without_an_interval_is_none():
    ((_, text, is_real),) = compare_sentences({"age_mae": difference(-1.0, None, None)})
    assert (text, is_real) == ("better by 1.00 years; without an interval that says little", False)


def row(label, protocol="grouped", score=1.0, part="test", headline=False):
    overall = {"score": {"value": score, "low": None, "high": None}}
    return {
        "label": label, "protocol": protocol, "part": part, "headline": headline,
        "overall": overall,
    }  # fmt: skip


def test_the_headline_is_the_one_that_was_chosen_and_not_the_best():
    rows = [
        row("validated", part="validation", score=0.1), row("best", score=0.8),
        row("chosen", score=0.9, headline=True), row("unmeasured", score=None),
        row("chosen", "random", 0.95, headline=True),
    ]  # fmt: skip
    found = [(r["label"], r["protocol"]) for r in find_headlines(rows)]
    assert found == [("chosen", "grouped"), ("chosen", "random")]
    labels = [r["label"] for r in order_rows(rows)]
    assert labels == ["chosen", "best", "unmeasured", "chosen", "validated"]
    assert find_headlines([]) == []


def test_the_headline_says_interval_protocol_and_seeds():
    overall = {
        "age_mae": {"value": 4.5, "low": 4.4, "high": 4.61},
        "gender_accuracy": {"value": 0.9456, "low": 0.94, "high": 0.951},
    }
    said = headline_sentence(
        row("trial 9") | {"overall": overall, "num_faces": 4741, "num_seeds": 1}
    )
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
