"""The page in a real browser, on a phone and on a desk, by day and by night."""

import pytest


@pytest.fixture
def look_at_report(look_at, tmp_path):
    return lambda made: look_at(made.write(tmp_path / "report.html"))


def test_the_report_of_a_search_can_be_read(drawn, look_at):
    seen = look_at(drawn)
    assert seen.problems == []
    assert [len(figures) for figures in seen.figures] == [14] * 4


def test_a_search_that_has_hardly_begun_can_be_read(make_search, look_at_report):
    made = make_search(1)
    made.search["data"]["is_demo"] = True
    made.search["status"] = "interrupted"
    assert look_at_report(made).problems == []


def test_a_pareto_front_can_be_read(make_search, look_at_report):
    made = make_search(24)
    made.search["options"]["objective"] = "age_mae,worst_group_mae"
    for record in made.records:  # better ages at the price of the worst group: all in the front
        last = record.epochs[-1]
        last["worst_group_mae"] = 50 / last["age_mae"]
    seen = look_at_report(made)
    assert seen.problems == []
    assert all("and the front" in " ".join(figures) for figures in seen.figures)
