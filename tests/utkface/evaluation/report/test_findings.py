"""What an evaluation says of itself: which row comes first, and its headline."""

from utkface.evaluation.records import RegionWeight, Row
from utkface.evaluation.report.findings import (
    choice_sentence,
    find_headlines,
    headline_sentence,
    order_rows,
    region_sentences,
)


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


def test_it_is_said_by_which_faces_the_headline_was_chosen():
    search = "oversampling-1"
    for split in ("grouped", "random"):  # the test part of its own split no search looks at
        assert "before these were looked at" in choice_sentence(
            row("a", split, headline=True), search, split
        )
    for split, other in (("grouped", "random"), ("random", "grouped"), ("random", None)):
        assert "some of them are among these" in choice_sentence(
            row("a", split, headline=True), search, other
        )
    assert "before these were looked at" in choice_sentence(row("a", headline=True), search, None)
    assert "this run chose nothing" in choice_sentence(row("a", headline=True), None, None)
    for given in (search, None):
        assert "validation faces" in choice_sentence(
            row("a", part="validation", headline=True), given, None
        )
    assert "looks a little better than it is" in choice_sentence(row("a"), None, None)


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


def test_regions_are_ranked_by_what_they_weigh_for_their_size():
    def region(name, area_share, age_share, age_range=None):
        return RegionWeight(
            region=name, area_share=area_share, age_share=age_share, gender_share=None,
            age_years=0.0, gender_probability=0.0, age_range=age_range,
        )  # fmt: skip

    regions = [region("cheeks", 0.6, 0.5), region("eyes", 0.1, 0.3, (0.2, 0.45))]
    assert region_sentences(regions) == [
        "For age, what counts most for its size: eyes (30 % of all effects on 10 % of the picture; "
        "20 to 45 % on 8 of 10 faces), then cheeks (50 % of all effects on 60 % of the picture)."
    ]
