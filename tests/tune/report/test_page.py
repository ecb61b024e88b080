"""The page itself: complete, well-formed, self-contained, and there for every kind of search."""

import dataclasses
import math
import re
from pathlib import Path

import optuna
import pytest

from tune.report.page import align
from utkface.evaluation.report.svg import COLOUR, ROLES
from utkface.io import UserError


def test_every_figure_is_there(drawn, read):
    page = read(drawn)
    for start in (
        "Best score so far over time",
        "Best score so far over trials",
        "Score after each epoch of 36 trials",
        "Score after epoch 1 against the end",
        "Score after epoch 3 against the end",
        "Importance of each parameter; the most important is max_lr",
        "24 trials, each a line through its 5 parameters",
        "Score against max_lr",
        "Score against oversample_balance",
        "Gender: training and validation loss",
        "Age: training and validation loss",
    ):
        assert any(label.startswith(start) for label in page.labels), start
    assert "24 complete, 9 stopped early, 3 failed" in page.words
    assert "loss is nan in epoch 2" in page.words
    assert "what the search varied" in page.words
    assert "what a starting point set" not in page.words


def test_nothing_is_asked_of_anybody(drawn, read):
    page, html = read(drawn), drawn.read_text()
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for reference in page.values("href", "src", "srcset", "action", "data", "poster"):
        assert reference == "data:," or (reference[0] == "#" and reference[1:] in ids), reference
    for target in re.findall(r"url\(([^)]*)\)", html):
        assert target[0] == "#"
        assert target[1:] in ids
    assert not re.search(r"@import|https?://|<script|javascript:|\son\w+=", html)


def test_the_page_follows_light_and_dark(drawn):
    html = drawn.read_text()
    assert not [role for role, colour in COLOUR.items() if colour in html]
    used = set(re.findall(r"var\(--([a-z0-9]+)\)", html)) - {"c"}
    assert used <= {*ROLES, "panel", "warn", "warn-paper"}
    light, dark = html.split("prefers-color-scheme: dark", 1)
    for role in used:
        assert f"--{role}:" in light
        assert f"--{role}:" in dark


def test_texts_from_outside_are_escaped(make_search, write, tmp_path):
    made = make_search(12)
    evil = "<script>alert('$x$')</script>&"
    made.search |= {"question": evil, "space": evil, "command": evil}
    made.records[0] = dataclasses.replace(
        made.records[0], params={**made.records[0].params, evil: evil}, config={evil: evil}
    )
    made.records[5] = dataclasses.replace(made.records[5], reason=evil)
    distributions = {evil: optuna.distributions.CategoricalDistribution([evil, "b"])}
    made.study.add_trial(
        optuna.create_trial(params={evil: evil}, distributions=distributions, value=1.0)
    )
    page = write(made, drawn=True)
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert page.text.count(evil) >= 4  # and is shown as it was


@pytest.mark.parametrize(
    ("scheduler", "rungs", "described", "correlated"),
    [
        ("asha", [1, 3], "asha, 1 in 3 goes on after epochs 1, 3", "Survivors only"),
        ("none", [], "early stopping none", "No trial was stopped, so ρ is over all that got"),
    ],
)
def test_early_stopping_is_described(make_search, write, scheduler, rungs, described, correlated):
    made = make_search(6)
    made.search["options"] |= {"scheduler": scheduler}
    made.search |= {"rungs": rungs}
    words = write(made).words
    assert described in words
    assert correlated in words
    assert ("Survivors only" in words) == bool(rungs)


def test_demo_faces_are_said_loudly(make_search, write):
    made = make_search(1)
    assert "DEMO FACES" not in write(made).words
    made.search["data"]["is_demo"] = True
    page = write(made)
    assert "DEMO FACES" in page.words
    assert "1 is the reference's published model" not in page.words


def test_starting_points_are_named_and_none_is_another_that_says_more(make_search, write):
    made = make_search(6)
    whole = made.records[1].params
    made.search["points"] = [whole, {"max_lr": whole["max_lr"]}]  # which the first one has too
    for number in (1, 5):
        made.records[number] = dataclasses.replace(made.records[number], is_starting_point=True)
    words = write(made).words
    assert (
        f"trial 1 stood at {made.records[1].score:.4f} when it was stopped after epoch 1" in words
    )
    assert "trial 5 failed" in words


def test_a_starting_point_that_diverged_was_not_stopped(make_search, write):
    made = make_search(6)
    made.search["points"] = [made.records[1].params]
    made.records[1] = dataclasses.replace(
        made.records[1], reason="the loss is nan", is_starting_point=True
    )
    words = write(made).words
    assert "trial 1 diverged in epoch 2" in words
    assert "1 diverged" in words
    assert "diverged 1 the loss is nan" in words  # among those that failed or diverged


def test_a_search_without_trials(make_search, write):
    page = write(make_search(0))
    assert "No trial ran its full number of epochs" in page.words
    assert page.labels == []


def test_a_damaged_record_is_refused_by_its_field(make_search, write):
    made = make_search(0)
    del made.search["data"]["num_val"]
    with pytest.raises(UserError, match=r"search.json cannot be read \(data.num_val is missing\)"):
        write(made)


def test_what_to_use_comes_first_and_how_sure_that_is(make_search, write, tmp_path):
    made = make_search(36)
    made.search["options"]["objective"] = "smooth_score"
    page = write(made)
    words = page.words
    best = min((r for r in made.records if r.state == "COMPLETE"), key=lambda r: r.score)
    assert f"The best configuration is trial {best.number} with a validation smooth score" in words
    assert words.index("What to use") < words.index("Best so far")
    assert "which the search minimised" in words
    assert "a log loss of gender in place of the counted error" in words
    # All that was searched and used, also where it equals the default.
    start, end = words.index("as far as this trial used it"), words.index("The whole configuration")
    used = words[start:end]
    assert all(name in used for name in best.params)
    assert ("oversample_balance" in used) == ("oversample_balance" in best.params)
    assert '"backbone": "mobilenet_v3_small"' in words
    assert "python tune/retrain_best.py --search" in words
    assert re.search(r"\d+ of the other 23 complete trials cannot be told apart", words)


def test_a_confirmed_winner_is_not_called_ahead_of_a_second_best(make_search, write):
    made = make_search(36)
    assert "The second best" in write(made).words
    stopped = next(r for r in made.records if r.state == "PRUNED")
    made.search["confirmation"] = {
        "trials": [{
            "trial": stopped.number, "is_starting_point": True, "seeds": [0, 1], "score": 1.0,
            "values": {"score": 1.0}, "age_mae": 5.0, "gender_accuracy": 0.9,
        }],
        "leads": [],
    }  # fmt: skip
    words = write(made).words
    ranked = re.search(r"and what differs rank ([\d ]+) trial (\d+)", words)
    assert ranked[2] == str(stopped.number)  # as in best.json
    assert "Those that were trained again come first" in words
    assert f"The winner, trial {stopped.number} , had a validation score" in words
    assert f"in the search, which stopped it after epoch {len(stopped.epochs)}" in words
    assert "second best" not in words
    assert "cannot be told apart" not in words


def test_of_very_many_trials_the_best_are_drawn_and_all_are_listed(make_search, write, record):
    made = make_search(12)
    made.records = [
        record(n, [3.0, 2.0, 1 + n / 1000], "COMPLETE" if n % 2 else "PRUNED", params={})
        for n in range(300)
    ]
    page = write(made)
    assert "Score after each epoch of 200 trials" in " ".join(page.labels)
    assert "Drawn are the 200 that got furthest, the best first; all 300" in page.words
    assert "300 trials, " in page.words


def test_numbers_of_a_column_line_up():
    assert align([0.5, None, 0.25]) == ["0.5000", "–", "0.2500"]
    assert align([0.0001, 0.2]) == ["1.00e-04", "2.00e-01"]
    assert align([100.5, 7.25]) == ["100.5", "7.2"]
    assert align([3, None, "a"]) == ["3", "–", "a"]


def test_one_trial(make_search, write):
    page = write(make_search(1))
    assert "The best configuration is trial 0" in page.words
    assert "Importance needs at least 10 trials" in page.words
    made_settings = len(make_search(1).records[0].config)
    assert f"The {made_settings} settings that it has" in page.words


def test_all_failed(make_search, write, record):
    made = make_search(2)
    made.records = [record(0, [], "FAIL", reason="out of memory"), record(1, [], "FAIL")]
    words = write(made).words
    assert "out of memory" in words
    assert "No trial has finished an epoch" in words


def test_metrics_that_are_no_numbers(make_search, write, record):
    made = make_search(3)
    made.records = [
        record(0, [2.0, math.nan, 1.0]),
        record(1, [math.nan, math.inf], "FAIL", reason="score is inf"),
        record(2, [2.0, 1.5, math.nan]),  # never best
    ]
    made.records[0].epochs[2]["worst_group_mae"] = None
    assert "The best configuration is trial 0" in write(made).words


def test_a_search_that_was_interrupted(make_search, write, record):
    made = make_search(12)
    made.search["status"] = "interrupted"
    made.records[-1] = record(11, [2.0, 1.5], "RUNNING", params=made.records[-1].params)
    words = write(made).words
    assert "The search was interrupted" in words
    assert "1 unfinished" in words


def test_the_same_search_gives_the_same_page_and_is_left_as_it_was(make_search, drawn):
    import matplotlib as mpl

    made = make_search(36)
    before, verbosity = dict(mpl.rcParams), optuna.logging.get_verbosity()
    again = made.write(drawn.with_name("again.html"))
    assert again.read_bytes() == drawn.read_bytes()
    assert dict(mpl.rcParams) == before
    assert optuna.logging.get_verbosity() == verbosity
    assert len(made.study.trials) == 36


def test_a_large_search_gives_a_small_page(make_search, tmp_path):
    made = make_search(200, max_epochs=30)
    path = made.write(tmp_path / "report.html")
    assert path.stat().st_size < 600_000


def test_a_failure_leaves_the_old_page(make_search, tmp_path, monkeypatch):
    made = make_search(1)
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError, match="disk full"):
        made.write(path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_several_objectives_show_their_front(make_search, write):
    made = make_search(24)
    made.search["options"]["objective"] = "age_mae,gender_log_loss,worst_group_mae"
    complete = [record for record in made.records if record.state == "COMPLETE"]
    for record in complete:  # better ages at the price of the worst group: none beats another
        record.epochs[-1]["worst_group_mae"] = 50 / record.epochs[-1]["age_mae"]
    complete[4].epochs[-1].update(dict.fromkeys(made.record.options.objectives, 99.0))
    page = write(made)
    del complete[4]
    front = sorted(complete, key=lambda record: record.score)
    assert "16 complete trials by age_mae and worst_group_mae, and the front" in page.labels
    assert sum("and the front" in label for label in page.labels) == 3
    assert f"{len(front)} of the complete ones cannot be beaten in age_mae" in page.words
    assert "The configurations of the front, and what differs" in page.words
    shown = " ".join(str(record.number) for record in front[:12])
    assert f"trial {shown} score" in page.words
    assert "second best" not in page.words
    assert "Every result is of one seed" in page.words
    trial = {"trial": front[0].number, "is_starting_point": False, "seeds": [0, 1, 2]}
    values = {"age_mae": 5.1, "gender_log_loss": 0.2, "worst_group_mae": 12.345}
    means = {"values": values, "score": 1.2, "age_mae": 5.1, "gender_accuracy": 0.93}
    made.search["confirmation"] = {"trials": [{**trial, **means}], "leads": []}
    page = write(made)
    assert "12.35" in page.words  # what was asked about, of the seeds together
    assert "What follows is of the search's own seed" in page.words
    assert "Every result is of one seed" not in page.words


def test_one_other_objective_is_what_the_page_is_about(make_search, write):
    made = make_search(24)
    made.search["options"]["objective"] = "worst_group_mae"
    best = made.records[4]
    best.epochs[-1]["worst_group_mae"] = 1.5
    page = write(made)
    assert "trial 4 with a validation worst age group's MAE of 1.5000" in page.words
    for start in (
        "Best worst age group's MAE so far over time, ending at 1.5",
        "Worst age group's MAE after each epoch of 24 trials",
        "Worst age group's MAE against max_lr",
    ):
        assert any(label.startswith(start) for label in page.labels), start
    assert "Pareto" not in page.words
    assert "1 is the reference's published model" in page.words  # the score's tile stays
    assert "a score of 1, the reference's published model" not in page.words
