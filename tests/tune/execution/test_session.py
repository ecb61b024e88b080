import functools
import pickle
from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import StudyScheduler, StudySearcher
from tune.execution.reporting import DIVERGED, FAILURE, METRICS, Callback
from tune.execution.session import MAX_FAILURES_AT_START, SearchSession
from tune.spaces.space import load_space
from tune.study.study import SearchStudy

FIXED = {"epochs": 3, "image_size": 32, "seed": 0}
load = functools.cache(lambda name: load_space(name, FIXED))


class Recorder(Callback):
    def __init__(self):
        self.seen = []

    def trial_started(self, number, config, epochs_done):
        self.seen.append(("started", number, epochs_done))

    def epoch_finished(self, number, metrics):
        self.seen.append(("epoch", number, metrics["epoch"]))

    def trial_retried(self, number, reason):
        self.seen.append(("retried", number, reason))

    def trial_ended(self, record):
        self.seen.append(("ended", record.number, record.state))


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def begin(tmp_path, recorder):
    """Open a session on the run; called again, it is the next session of the same search."""
    store = CheckpointStore(str(tmp_path / "checkpoints"))

    def begin_(num_trials=4):
        study = SearchStudy(tmp_path / "study.journal", load("quick"), FIXED)
        return SearchSession(study, num_trials, [recorder], store)

    return begin_


def result(epoch, score=1.0):
    return {METRICS: {"epoch": epoch, "score": score, "smooth_score": score}}


def test_a_search_hands_out_as_many_trials_as_were_asked_for(begin, recorder):
    session = begin(num_trials=3)
    numbers = [session.next_config()["number"] for _ in range(3)]
    assert numbers == [0, 1, 2]
    assert session.next_config() is None
    assert recorder.seen == [("started", number, 0) for number in numbers]


def test_the_next_session_finishes_what_is_unfinished_and_no_more(begin):
    session = begin(num_trials=3)
    first, second = session.next_config(), session.next_config()
    for epoch in (1, 2, 3):
        session.take_result(first["number"], result(epoch, 0.5))
    session.take_result(second["number"], result(1, 0.4))

    again = begin(num_trials=3)
    assert again.next_config() == second
    assert again.next_config()["number"] == 2
    assert again.next_config() is None


def test_what_happens_is_told_in_order(begin, recorder):
    session = begin()
    number = session.next_config()["number"]
    assert session.take_result(number, result(1))
    assert session.take_result(number, result(2))
    assert not session.take_result(number, result(3))
    assert recorder.seen[1:] == [
        ("epoch", number, 1),
        ("epoch", number, 2),
        ("epoch", number, 3),
        ("ended", number, "COMPLETE"),
    ]


def test_one_crash_does_not_stop_a_search_but_crashes_from_the_start_do(begin):
    session = begin(num_trials=20)
    for index in range(MAX_FAILURES_AT_START):
        assert not session.stop_requested.is_set()
        number = session.next_config()["number"]
        assert not session.take_result(number, {FAILURE: f"ValueError: crash {index}"})
    assert session.hopeless
    assert session.stop_requested.is_set()
    assert session.next_config() is None
    assert session.first_failure == "ValueError: crash 0"


def test_failures_do_not_end_a_search_whose_first_trial_is_still_in_its_first_epoch(begin):
    session = begin(num_trials=6)
    slow = session.next_config()["number"]
    for _ in range(MAX_FAILURES_AT_START):
        session.take_failure(session.next_config()["number"], "out of memory")
    assert not session.stop_requested.is_set()
    session.take_failure(slow, "out of memory")  # it could not either
    assert session.hopeless


def test_after_one_good_epoch_a_search_ends_when_it_failed_as_often_as_it_was_to_try(begin):
    session = begin(num_trials=7)
    session.take_result(session.next_config()["number"], result(1))
    for _ in range(6):
        session.take_failure(session.next_config()["number"], "crash")
        assert not session.stop_requested.is_set()
    session.take_failure(session.next_config()["number"], "crash")
    assert session.hopeless
    assert begin(num_trials=20).hopeless is False


def test_a_failed_trial_is_replaced_and_one_that_diverged_is_a_result(begin):
    session = begin(num_trials=3)
    first, second, third = (session.next_config()["number"] for _ in range(3))
    assert session.next_config() is None
    session.take_failure(first, "its card fell over three times")
    replacement = session.next_config()["number"]
    assert replacement == 3
    assert not session.take_result(second, {DIVERGED: "the loss is nan in epoch 1"})
    assert session.next_config() is None
    states = {record.number: record.state for record in session.study.records()}
    assert states == {first: "FAIL", second: "PRUNED", third: "RUNNING", replacement: "RUNNING"}


def test_checkpoints_of_unfinished_trials_and_of_the_best_are_kept(begin, tmp_path):
    session = begin(num_trials=20)
    for score in (0.9, 0.5, 0.7):
        number = session.next_config()["number"]
        for epoch in (1, 2, 3):
            session.checkpoints.save(number, {"epoch": epoch})
            if not session.take_result(number, result(epoch, score)):
                break  # the last one is stopped early
    running = session.next_config()["number"]
    session.checkpoints.save(running, {"epoch": 1})
    session.take_failure(session.next_config()["number"], "crash")
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["trial_0001.pt", f"trial_{running:04d}.pt"]


def test_what_a_killed_driver_left_is_cleaned_up_but_what_may_yet_be_the_best(begin):
    session = begin(num_trials=3)
    for score in (0.3, 0.2, 0.1):
        number = session.next_config()["number"]
        session.checkpoints.save(number, {"epoch": 3})
        for epoch in (1, 2, 3):
            # And then the driver was killed.
            session.study.report(number, result(epoch, score)[METRICS])
    again = begin(num_trials=3)
    assert not again.has_more
    study, store = again.study, again.checkpoints
    SearchSession(study, 3, [], store, keep=lambda records: records[1:]).tidy(study.records())
    assert store.sizes().keys() == {1, 2}
    again.tidy(study.records())
    assert store.sizes().keys() == {2}


def test_an_ending_that_cannot_clean_up_is_an_ending(begin, monkeypatch):
    def refuse(*numbers):
        raise OSError("the storage does not answer")

    session = begin()
    monkeypatch.setattr(session.checkpoints, "keep_only", refuse)
    session.take_failure(session.next_config()["number"], "crash")
    assert [record.state for record in session.study.records()] == ["FAIL"]


def test_ray_is_told_when_there_are_no_more(begin):
    searcher = StudySearcher(begin(num_trials=1))
    config = searcher.suggest("ray-id")
    assert config["number"] == 0
    assert searcher.suggest("another") == Searcher.FINISHED


def lost(folder, number, error, num_failures, status="ERROR"):
    """Return as much of Ray's trial as the scheduler looks at."""
    file = folder / "error.pkl"
    file.write_bytes(pickle.dumps(error))
    return SimpleNamespace(
        config={"number": number}, num_failures=num_failures, pickled_error_file=file,
        status=status, ERROR="ERROR", PENDING="PENDING",
    )  # fmt: skip


def test_a_trial_that_its_machine_failed_is_tried_again_and_fails_the_third_time(
    begin, recorder, tmp_path
):
    session = begin()
    number = session.next_config()["number"]
    scheduler = StudyScheduler(session)
    error = MemoryError("Tried to allocate 2.00 GiB")
    for num_failures in (1, 2):
        scheduler.on_trial_error(None, lost(tmp_path, number, error, num_failures))
    assert session.study.records()[0].state == "RUNNING"
    assert recorder.seen[1:] == [("retried", number, "MemoryError: Tried to allocate 2.00 GiB")] * 2
    scheduler.on_trial_error(None, lost(tmp_path, number, error, 3, "RUNNING"))
    (record,) = session.study.records()
    assert record.state == "FAIL"
    assert record.reason.startswith("failed 3 times; the last: MemoryError")


def test_a_trial_lost_with_the_idle_worker_it_was_given_is_handed_out_again_twice(
    begin, recorder, tmp_path
):
    session = begin(num_trials=1)
    scheduler = StudyScheduler(session)
    config = session.next_config()
    session.take_result(config["number"], result(1))

    def lose():
        error = OSError("the worker died")
        scheduler.on_trial_error(None, lost(tmp_path, config["number"], error, 1))
        scheduler.on_trial_error(None, lost(tmp_path, config["number"], error, 2, "PENDING"))

    for _ in range(2):
        assert not session.has_more
        lose()
        assert session.next_config() == config
    told = [("retried", 0, "OSError: the worker died"), ("started", 0, 1)]
    assert recorder.seen[2:] == told * 2
    lose()
    (record,) = session.study.records()
    assert (record.state, len(record.epochs)) == ("FAIL", 1)
    assert record.reason == "failed 3 times; the last: OSError: the worker died"


def test_a_trial_that_cannot_be_made_ready_is_handed_out_again_twice(begin, recorder, tmp_path):
    session = begin(num_trials=1)
    scheduler = StudyScheduler(session)
    config = session.next_config()
    trial = lost(tmp_path, config["number"], OSError("no space left"), 1, "PENDING")
    for _ in range(2):
        scheduler.on_trial_error(None, trial)
        assert session.next_config() == config
    assert recorder.seen[1::2] == [("retried", 0, "OSError: no space left")] * 2
    scheduler.on_trial_error(None, trial)
    (record,) = session.study.records()
    assert record.reason == "failed 3 times; the last: OSError: no space left"
