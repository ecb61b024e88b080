"""The page in a real browser, on a phone and on a desk, by day and by night."""

from tune.report import write_report


def test_the_report_of_a_search_can_be_read(make_search, look_at, tmp_path):
    made = make_search(36)
    seen = look_at(write_report(made.search, made.records, made.study, tmp_path / "report.html"))
    assert seen.problems == []
    assert all(len(figures) == 14 for figures in seen.figures)


def test_a_search_that_has_hardly_begun_can_be_read(make_search, look_at, tmp_path):
    made = make_search(1)
    made.search["data"]["is_demo"] = True
    made.search["status"] = "running"
    seen = look_at(write_report(made.search, made.records, made.study, tmp_path / "report.html"))
    assert seen.problems == []
