"""The page in a real browser, on a phone and on a desk, by day and by night."""

from tune.compare.page import write_comparison
from tune.compare.runs import line_up
from tune.past_runs import read_run


def look(look_at, folders, tmp_path):
    runs = [read_run(folder.path.parent, folder.path.name) for folder in folders]
    return look_at(write_comparison(line_up(runs), tmp_path / "page.html"))


def test_a_comparison_can_be_read(make_run, look_at, tmp_path):
    folders = [make_run(1.2), make_run(1.1, max_lr=0.002, wall_s=60.0), make_run(1.3)]
    seen = look(look_at, folders, tmp_path)
    assert seen.problems == []
    assert [len(figures) for figures in seen.figures] == [2] * 4


def test_searches_that_do_not_compare_can_be_read(make_run, look_at, tmp_path):
    data = {"fingerprint": "e" * 64, "is_demo": True}
    seen = look(look_at, [make_run(1.2), make_run(1.1, data=data, max_epochs=9)], tmp_path)
    assert seen.problems == []
