import contextlib
import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tune.console.lines import status_line
from tune.console.progress import Progress
from tune.console.screen import Screen
from tune.records.trials import TrialRecord


@pytest.fixture
def search(start_of):
    """A search of four trials that begins."""
    return start_of(num_trials=4, max_epochs=8, wandb="offline")


class Clock:
    def __init__(self):
        self.time_s = 0.0

    def __call__(self):
        return self.time_s


def metrics(epoch, score=0.9):
    last = {"age_mae": 4.567, "gender_accuracy": 0.9312, "images_per_s": 512.4}
    return {"epoch": epoch, "score": score, **last}


def record(number, state="COMPLETE", num_epochs=8, score=0.9, reason=None, **config):
    epochs = [metrics(epoch, score) for epoch in range(1, num_epochs + 1)]
    return TrialRecord(
        number=number, state=state, score=score if num_epochs else None, params=config,
        config={"dropout": 0.1, **config}, epochs=epochs, reason=reason, started=None, ended=None,
    )  # fmt: skip


def terminal(width=100, height=30):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height)


def plain():
    return Console(file=io.StringIO(), force_terminal=False, width=80)


@contextlib.contextmanager
def begun(start, console=None, **options):
    """Show a search that has begun, by default where there is no terminal."""
    with Screen(start, console or plain(), **options) as screen:
        screen.search_started(start)
        yield screen


def printed(screen):
    return screen._console.file.getvalue()


def drawn(screen):
    """Return the table as plain text, as of now."""
    console = Console(file=io.StringIO(), width=screen._console.width, force_terminal=False)
    console.print(screen._draw())
    return console.file.getvalue()


def run(screen, *records):
    for item in records:
        screen.trial_started(item.number, item.config, 0)
        for epoch in item.epochs:
            screen.epoch_finished(item.number, epoch)
        screen.trial_ended(item)


def test_table_shows_running_trials_best_and_counts(search):
    with begun(search, terminal()) as screen:
        run(
            screen,
            record(0, score=1.25, dropout=0.5),
            record(1, score=0.875, dropout=0.25),
            record(2, "PRUNED", 1, dropout=0.125),
        )
        screen.trial_started(3, {"dropout": 0.0625}, 2)
        screen.epoch_finished(3, metrics(3, score=1.5))
        lines = drawn(screen).splitlines()
    row = next(line.split() for line in lines if line.split()[:1] == ["3"])
    assert row == ["3", "3/8", "1.500", "4.57", "0.931", "512", "0.0625"]
    best = next(line.split() for line in lines if "best:" in line)
    assert best == ["best:", "1", "8/8", "0.875", "4.57", "0.931", "0.25"]
    text = "\n".join(lines)
    assert "3 of 4 trials ended, 1 running" in text
    assert "2 complete, 1 stopped early" in text


def test_only_hyperparameters_that_vary_are_shown(search):
    with begun(search, terminal()) as screen:
        screen.trial_started(0, {"dropout": 0.1, "max_lr": 0.001}, 0)
        screen.trial_started(1, {"dropout": 0.1, "max_lr": 0.002}, 0)
        text = drawn(screen)
    assert "max lr" in text
    assert "dropout" not in text


def test_a_value_is_shown_as_it_is_also_in_brackets(search):
    with begun(search, terminal()) as screen:
        run(screen, record(0, group_weights="[dim]"))
        screen.trial_started(1, {"group_weights": "[bold]"}, 0)
        text = drawn(screen)
    assert "[dim]" in text
    assert "[bold]" in text


@pytest.mark.parametrize("width", [40, 80, 100])
def test_table_fits_the_terminal(start_of, width):
    with begun(start_of(num_trials=60, name="n" * 120), terminal(width, height=24)) as screen:
        for number in range(40):
            config = {f"a_long_hyperparameter_{i}": 0.123456 * number for i in range(12)}
            screen.trial_started(number, config, 0)
        lines = drawn(screen).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24
    assert any(line.strip().startswith("+") for line in lines)  # what did not fit is counted


def test_without_a_terminal_one_line_per_ended_trial_and_no_control_codes(search):
    failure = "FloatingPointError: loss is nan in epoch 2"
    with begun(search, clock=Clock()) as screen:
        before = printed(screen)
        for _ in range(50):
            screen.epoch_finished(0, metrics(1))
        assert printed(screen) == before
        run(screen, record(0), record(1, "PRUNED", 3), record(2, "FAIL", 1, reason=failure))
    assert printed(screen).removeprefix(before).splitlines() == [
        "trial 0 complete after 8 of 8 epochs: score 0.900, age MAE 4.57 years, "
        "gender accuracy 0.931",
        "trial 1 stopped early after 3 of 8 epochs: score 0.900, age MAE 4.57 years, "
        "gender accuracy 0.931",
        "trial 2 failed: FloatingPointError: loss is nan in epoch 2",
    ]
    assert "\x1b" not in printed(screen)


def test_without_a_terminal_at_most_one_status_line_a_minute(search):
    clock = Clock()
    with begun(search, clock=clock) as screen:
        screen.trial_started(0, {}, 0)
        before = printed(screen)
        for second in range(1, 181):
            clock.time_s = second
            screen.epoch_finished(0, metrics(second))
    lines = printed(screen).removeprefix(before).splitlines()
    assert len(lines) == 3
    assert "0 of 4 trials ended, 1 running" in lines[0]


def test_colour_forced_by_the_environment_is_no_terminal(search, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Screen(search) as screen:
        screen.search_started(search)
        run(screen, record(0))
        screen.search_ended([record(0)], None)
    assert "\x1b" not in capsys.readouterr().out


def test_failed_trial_is_said_above_the_table(search):
    with begun(search, terminal()) as screen:
        run(screen, record(0, "FAIL", 0, reason="out of memory"), record(1))
    assert "trial 0 failed: out of memory" in printed(screen)
    assert "trial 1 complete after" not in printed(screen)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_terminal_is_left_sane_after_an_exception(search, error):
    console = terminal()
    with pytest.raises(error), begun(search, console):
        raise error
    output = console.file.getvalue()
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")  # the cursor shows again
    assert console._live_stack == []


def test_summary_names_the_best_and_where_to_go_on(start_of):
    records = [record(0, score=1.0, dropout=0.5), record(1, score=0.9, dropout=0.25)]
    with begun(start_of(num_trials=2, wandb="offline")) as screen:
        screen.search_ended(records, Path("/runs/oversampling-1/report.html"))
    summary = printed(screen).split("ended after")[1]
    assert "2 of 2 trials: 2 complete" in summary
    assert "trial 1: score 0.900, age MAE 4.57 years, gender accuracy 0.931" in summary
    assert '"dropout": 0.25' in summary
    assert "/runs/oversampling-1/report.html" in summary
    assert "wandb sync /runs/oversampling-1/wandb\n" in summary
    assert "python tune/retrain_best.py --search /runs/oversampling-1" in summary
    assert "--resume" not in summary


def test_settings_are_what_the_trial_used_then_what_else_is_no_default_as_json_to_copy(search):
    rest = {"huber_delta_years": 5.0, "weight_decay": 0.02, "batch_size": 64, "seed": 7}
    best = record(0, dropout=0.2, max_lr=0.001)  # one of them as the default
    best.config.update(rest)
    with begun(search) as screen:
        screen.search_ended([best], None)
    block = printed(screen).split("settings")[1].split("}")[0] + "}"
    assert list(json.loads(block).items()) == [
        ("dropout", 0.2), ("max_lr", 0.001), ("batch_size", 64)
    ]  # fmt: skip


def test_the_end_says_how_long_all_sessions_took(start_of):
    clock = Clock()
    with begun(start_of(wall_s=3600), clock=clock) as screen:
        clock.time_s = 60
        screen.search_ended([record(0)], None)
    assert "ended after 1 min 00 s (1 h 01 min in all its sessions)" in printed(screen)


def test_nothing_is_left_where_all_trials_ended():
    progress = Progress(num_trials=1, max_epochs=8, clock=Clock())
    progress.start_trial(0, {}, 0)
    progress.finish_epoch(0, {"epoch": 1})
    assert "left" in status_line(progress)
    progress.end_trial(record(0))
    assert status_line(progress).endswith("gender accuracy 0.931")


def test_several_objectives_are_named_and_shown_and_the_front_is_listed_at_the_end(start_of):
    objectives = ["age_mae", "worst_group_mae"]
    search = start_of(num_trials=4, max_epochs=8, objective=",".join(objectives))
    records = [record(number, score=1.0 + number / 10) for number in range(3)]
    for ended, values in zip(records, [(4.0, 9.0), (5.0, 8.0), (5.0, 9.0)], strict=True):
        ended.epochs[-1].update(zip(objectives, values, strict=True))
    with begun(search, earlier=records) as screen:
        assert "worst group" in drawn(screen)
        screen.trial_ended(records[1])
        screen.search_ended(records, None)
    introduction, summary = printed(screen).split("ended after")
    front = "the Pareto front of age_mae, worst_group_mae, in the order of the score"
    assert f"objective  {front}" in introduction
    assert "gender accuracy 0.931, worst group 8.00" in introduction  # trial 1's ending
    assert "2 trials that no other beats in all of age_mae, worst_group_mae:" in summary
    assert "trial 0: age_mae 4, worst_group_mae 9\n" in summary
    assert "trial 1: age_mae 5, worst_group_mae 8\n" in summary
    assert "best  " not in summary


def test_summary_of_an_interrupted_search_without_a_complete_trial(search):
    search.record.status = "interrupted"
    with begun(search) as screen:
        screen.search_ended([record(0, "PRUNED", 1), record(1, "RUNNING", 2)], None)
    summary = printed(screen).split("ended after")[1]
    assert "1 stopped early, 1 unfinished" in summary
    assert "there is no best configuration" in summary
    assert "python tune/run_search.py --resume /runs/oversampling-1" in summary
    assert "retrain_best" not in summary


def test_demo_faces_are_said_in_table_introduction_and_summary(search_json, start_of):
    with begun(start_of(data={**search_json["data"], "is_demo": True})) as screen:
        assert "demo faces" in drawn(screen)
        screen.search_ended([record(0)], None)
    introduction, summary = printed(screen).split("ended after")
    assert "demo faces: these numbers say nothing about real ones" in introduction
    assert "demo faces: these numbers say nothing about real ones" in summary
    assert "reference" not in summary  # nothing to compare drawn faces with


def test_a_metric_or_a_reason_that_is_missing_is_no_error(search, capsys):
    with begun(search) as screen:
        screen.trial_started(0, {}, 0)
        screen.epoch_finished(0, {})
        screen.trial_ended(record(0, "FAIL", 0))
        screen.search_ended([], None)
    assert capsys.readouterr().err == ""
    assert "trial 0 failed: no reason given" in printed(screen)


def test_a_screen_that_cannot_be_written_never_ends_the_search(search, capsys):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError("gone")

    with begun(search, Console(file=Closed(), force_terminal=False)) as screen:
        run(screen, record(0))
        screen.search_ended([record(0)], None)
    assert capsys.readouterr().err.count("the search goes on unseen") == 1


def test_time_left_from_epochs_per_second_and_mean_length_of_ended_trials():
    clock = Clock()
    progress = Progress(num_trials=6, max_epochs=8, clock=clock)
    clock.time_s = 100  # Ray starts: not the trials' speed
    assert progress.time_left_s() is None
    for item in (record(0, "PRUNED", 2), record(1, num_epochs=8)):
        progress.start_trial(item.number, item.config, 0)
        for epoch in item.epochs:
            progress.finish_epoch(item.number, epoch)
        progress.end_trial(item)
    progress.start_trial(2, {}, 3)  # a resumed trial, at epoch 3: the one that got further ran 8
    clock.time_s = 120  # 10 epochs in 20 s; left: 3 trials of 5 epochs and 5 epochs of trial 2
    assert progress.time_left_s() == pytest.approx(40)
    progress.time_budget_s = 130
    assert progress.time_left_s() == pytest.approx(10)


def test_earlier_trials_count_but_not_towards_the_speed():
    progress = Progress(num_trials=2, max_epochs=8, earlier=[record(0)])
    assert progress.best is not None
    assert progress.time_left_s() is None
    progress.end_trial(record(0))
    assert len(progress.ended) == 1


def test_a_trial_that_failed_counts_for_none_of_those_that_were_asked_for():
    progress = Progress(num_trials=2, max_epochs=8, earlier=[record(0), record(1, "FAIL", 0)])
    assert "1 of 2 trials ended, 0 running" in status_line(progress)
    assert "left" in status_line(progress)


def test_a_trial_that_failed_without_a_configuration_varies_nothing():
    failed = dataclasses.replace(record(0, "FAIL", 0), config={})
    progress = Progress(num_trials=3, max_epochs=8, earlier=[failed, record(1, max_lr=0.1)])
    progress.start_trial(2, record(2, max_lr=0.2).config, 0)
    assert progress.differing() == ["max_lr"]
