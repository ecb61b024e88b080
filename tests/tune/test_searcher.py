import pytest
from ray.tune.search import Searcher

from tune.checkpoints import CheckpointStore
from tune.observer import Observer
from tune.searcher import MAX_FAILURES_AT_START, SearchSession, StudySearcher
from tune.spaces import load_space
from tune.study import SearchStudy
from tune.trainable import FAILURE, METRICS

FIXED = {"epochs": 3, "image_size": 32, "seed": 0}


class Recorder(Observer):
    def __init__(self):
        self.seen = []

    def trial_started(self, number, config, epochs_done):
        self.seen.append(("started", number, epochs_done))

    def epoch_finished(self, number, metrics):
        self.seen.append(("epoch", number, metrics["epoch"]))

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
        study = SearchStudy(tmp_path / "study.journal", load_space("quick", fixed=FIXED), FIXED)
        return SearchSession(study, num_trials, [recorder], store)

    return begin_


def result(epoch, score=1.0):
    return {METRICS: {"epoch": epoch, "score": score}}


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


def test_after_one_good_epoch_no_number_of_crashes_ends_a_search(begin):
    session = begin(num_trials=20)
    session.take_result(session.next_config()["number"], result(1))
    for _ in range(2 * MAX_FAILURES_AT_START):
        session.take_failure(session.next_config()["number"], "crash")
    assert not session.stop_requested.is_set()
    assert begin(num_trials=20).hopeless is False


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


def test_what_a_killed_driver_left_is_cleaned_up(begin, tmp_path):
    session = begin(num_trials=2)
    numbers = [session.next_config()["number"] for _ in range(2)]
    for number in numbers:
        session.checkpoints.save(number, {"epoch": 3})
        for epoch in (1, 2, 3):
            # And then the driver was killed.
            session.study.report(number, {"epoch": epoch, "score": 0.5 - 0.1 * number})
    again = begin(num_trials=2)
    assert not again.has_more
    again.tidy(again.study.records())
    assert again.checkpoints.sizes().keys() == {1}


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
    searcher.on_trial_complete("ray-id", error=True)  # its worker died too often
    (record,) = searcher._session.study.records()
    assert record.state == "FAIL"
