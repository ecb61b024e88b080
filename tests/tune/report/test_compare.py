"""Searches compared: from their folders to the page and the table."""

import re

import pytest

from tune.records.run_folder import SearchFolder
from tune.report.compare import compare, leader, line_up, remarks, warnings
from tune.study.past_runs import read_run
from utkface.io import UserError


@pytest.fixture
def make_run(tmp_path, search_json, search_record, record):
    """Write a search of three trials as it is in a checkout, without its journal."""

    def make(best_score, *, max_lr=0.001, **search):
        folder = SearchFolder.create(tmp_path / "results", "rate")
        records = [
            record(
                number, scores, state, params={"max_lr": lr}, ended=f"2026-01-01T10:0{minute}:00",
                config={"max_lr": lr, "dropout": 0.25, "pretrained": True},
            )
            for number, (scores, state, lr, minute) in enumerate([
                ([3.0, best_score + 0.1], "COMPLETE", 0.005, 3),
                ([0.1], "PRUNED", max_lr, 5),
                ([3.0, best_score], "COMPLETE", max_lr, 9),
            ])
        ]  # fmt: skip
        values = {"name": folder.path.name, "max_epochs": 2, "wall_s": 540.0}
        for name in ("data", "hardware"):
            values[name] = {**search_json[name], **search.pop(name, {})}
        folder.write_record(search_record(**(values | search)))
        folder.write_tables(records)
        return folder

    return make


def read(folders):
    return [read_run(folder.path.parent, folder.path.name) for folder in folders]


def compare_folders(*folders, output=None):
    return compare(read(folders), folders[0].path.parent, output)


def line_up_folders(*folders):
    return line_up(read(folders))


def test_the_page_needs_nothing_and_says_who_leads_and_what_differs(make_run, capsys):
    folders = [make_run(1.2, seed=0), make_run(1.1, seed=7, max_lr=0.002)]
    results, names = folders[0].path.parent, [folder.path.name for folder in folders]
    assert compare_folders(*folders) == 0
    path = results / f"compare-{names[0]}-{names[1]}.html"
    printed = capsys.readouterr().out
    assert f"page: {path}" in printed
    assert f"best by score: score 1.100, trial 2 of {names[1]}" in printed
    page = path.read_text()
    assert not re.search(r"<script|<link[^>]+href=\"(?!data:)|src=\"http|url\(http", page)
    assert page.count("<svg") == 2
    assert "Best by score is trial 2 in search <b>B</b>, with a score of <b>1.1000</b>" in page
    # The best configurations: one setting differs, and is marked where it is not the leader's.
    row = re.search(r"<th>max_lr</th>(.*?)</tr>", page, re.DOTALL)[1]
    assert re.findall(r'class="(\w+)">([^<]+)<', row) == [("other", "0.001"), ("first", "0.002")]
    assert "<tr><th>dropout" not in page
    assert re.search(r"<tr><th>seed</th>.*?0.*?7", page, re.DOTALL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_epochs": 5}, "epochs: 2 and 5"),
        ({"image_size": 128}, "image size: 64 and 128"),
        ({"weights": "none"}, "first weights: imagenet and none"),
        ({"data": {"fingerprint": "e" * 64}}, "faces: ffffffff and eeeeeeee"),
        ({"objective": "age_mae,gender_error"}, "objectives: score and age_mae, gender_err"),
    ],
)
def test_scores_that_do_not_compare_are_not_compared(make_run, change, said):
    compared = line_up_folders(make_run(1.2), make_run(1.1, **change))
    (warning,) = warnings(compared)
    assert warning.startswith(f"A and B differ in {said}")
    assert leader(compared) is None


def test_only_trials_with_the_full_budget_lead(make_run):
    compared = line_up_folders(make_run(1.2), make_run(1.1))
    assert [each.best.number for each in compared] == [2, 2]
    assert leader(compared).letter == "B"
    assert [[f.score for f in each.done] for each in compared] == [
        [pytest.approx(1.3), 1.2], [pytest.approx(1.2), 1.1],
    ]  # fmt: skip
    assert [each.num_epochs for each in compared] == [5, 5]
    assert [each.end_s for each in compared] == [540.0, 540.0]


def test_a_confirmed_trial_leads_by_its_means_even_if_the_search_stopped_it(make_run, capsys):
    winner = {
        "trial": 1, "is_starting_point": True, "seeds": [0, 1, 2], "values": {"score": 1.05},
        "score": 1.05, "age_mae": 5.0, "gender_accuracy": 0.93,
    }  # fmt: skip
    folders = [make_run(1.2, confirmation={"trials": [winner], "leads": []}), make_run(1.1)]
    compared = line_up_folders(*folders)
    assert [each.best.number for each in compared] == [1, 2]
    assert leader(compared).letter == "A"
    assert remarks(compared)[0].startswith("the best of A was trained again: its numbers are means")
    compare_folders(*folders)
    best = f"best by score: score 1.050, trial 1 of {folders[0].path.name}"
    assert best in capsys.readouterr().out


def test_what_misleads_about_times_and_ends_is_said(make_run):
    other = {"wall_s": 120.0, "hardware": {"cpus": 64.0, "accelerators": ["H100"]}}
    compared = line_up_folders(make_run(1.2), make_run(1.1, status="running", **other))
    lines = remarks(compared)
    assert lines[0] == "B is running: its best may be yet to come"
    assert lines[1] == "B was interrupted for 7 min 00 s, which its times include"
    assert "64 cores, H100" in lines[2]
    assert remarks(line_up_folders(make_run(1.2), make_run(1.1))) == []


def test_searches_without_a_complete_trial_have_no_best(make_run, tmp_path):
    folders = [make_run(1.2), make_run(1.1)]
    for folder in folders:
        (folder.path / "best.json").unlink()
        table = (folder.path / "trials.csv").read_text().splitlines()
        (folder.path / "trials.csv").write_text("\n".join([table[0], table[2]]) + "\n")
    assert compare_folders(*folders, output=tmp_path / "p.html") == 0
    page = (tmp_path / "p.html").read_text()
    assert "No search has a trial that ran its full number of epochs" in page
    assert "<svg" not in page


def test_runs_that_cannot_be_compared_are_told_in_one_line(make_run):
    folder = make_run(1.2)
    for folders, message in [([folder], "names one search"), ([folder, folder], "twice")]:
        with pytest.raises(UserError, match=message) as caught:
            compare_folders(*folders)
        assert "\n" not in str(caught.value)
    assert not list(folder.path.parent.glob("compare-*"))


def test_a_name_with_markup_is_text_on_a_page_that_is_written_elsewhere(make_run, tmp_path):
    folders = [make_run(1.2, name="<b>x</b>"), make_run(1.1, space="<script>alert()</script>")]
    assert folders[0].record.name == "<b>x</b>"
    compare_folders(*folders, output=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert not list(folders[0].path.parent.glob("compare-*"))


OTHER_FACES = {"data": {"fingerprint": "e" * 64, "is_demo": True}, "max_epochs": 9}


@pytest.mark.parametrize("third", [{}, OTHER_FACES])
def test_the_page_can_be_read_on_a_phone_and_on_a_desk(make_run, look_at, tmp_path, third):
    folders = [make_run(1.2), make_run(1.1, max_lr=0.002, wall_s=60.0), make_run(1.3, **third)]
    compare_folders(*folders, output=tmp_path / "page.html")
    seen = look_at(tmp_path / "page.html")
    assert seen.problems == []
    assert [len(figures) for figures in seen.figures] == [2] * 4
