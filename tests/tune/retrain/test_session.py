import json

import pytest

from tune.observer import Observer
from tune.retrain.jobs import RETRAIN, Job
from tune.retrain.session import JobRecord, RetrainSession
from tune.trainable import FAILURE, METRICS
from utkface.config import TrainConfig


def job(number, epochs=2, seed=0):
    config = TrainConfig(epochs=epochs, seed=seed).to_dict()
    return Job(
        number=number, purpose=RETRAIN, label="trial 7", protocol="random", part="test",
        seed=seed, config=config,
    )  # fmt: skip


def result(epoch, loss=1.0):
    return {METRICS: {"epoch": epoch, "train_loss": loss, "time_s": 2.0}}


class Watch(Observer):
    def __init__(self):
        self.seen = []

    def trial_started(self, number, config, epochs_done):
        self.seen.append(("started", number, epochs_done))

    def epoch_finished(self, number, metrics):
        self.seen.append(("epoch", number, metrics["epoch"]))

    def trial_ended(self, record):
        self.seen.append((record.state, record.number, record.reason))


@pytest.fixture
def saved():
    return []


def session(records, saved, *observers):
    return RetrainSession(
        records, observers, lambda: saved.append(json.dumps([r.to_dict() for r in records]))
    )


def test_every_job_is_handed_out_once_and_told_to_the_observers(saved):
    watch = Watch()
    records = [JobRecord(job(0)), JobRecord(job(1, seed=1))]
    run = session(records, saved, watch)
    first, second = run.next_config(), run.next_config()
    assert (first["number"], second["number"]) == (0, 1)
    assert first["rows"] == "random, before test"
    assert second["train"]["seed"] == 1
    assert run.next_config() is None
    assert run.take_result(0, result(1))
    assert not run.take_result(0, result(2))
    assert not run.take_result(1, {FAILURE: "lost"})
    assert watch.seen == [
        ("started", 0, 0), ("started", 1, 0), ("epoch", 0, 1), ("epoch", 0, 2),
        ("COMPLETE", 0, None), ("FAIL", 1, "lost"),
    ]  # fmt: skip
    assert records[0].train_seconds == 4.0


def test_what_was_saved_goes_on_where_it_stood_and_failures_are_tried_again(saved):
    records = [JobRecord(job(0)), JobRecord(job(1)), JobRecord(job(2))]
    run = session(records, saved)
    for _ in records:
        run.next_config()
    run.take_result(0, result(1))
    run.take_result(0, result(2))
    run.take_result(1, result(1))
    run.take_failure(2, "out of memory")
    again = [JobRecord.from_dict(values) for values in json.loads(saved[-1])]
    assert [record.state for record in again] == ["COMPLETE", "RUNNING", "RUNNING"]
    resumed = session(again, saved)
    assert [resumed.next_config()["number"] for _ in range(2)] == [1, 2]
    assert resumed.next_config() is None


def test_an_epoch_that_is_repeated_after_a_crash_counts_once(saved):
    record = JobRecord(job(0, epochs=3))
    run = session([record], saved)
    run.next_config()
    for epoch, loss in ((1, 3.0), (2, 2.0), (2, 2.0), (3, 1.0)):
        goes_on = run.take_result(0, result(epoch, loss))
    assert not goes_on
    assert [epoch["epoch"] for epoch in record.epochs] == [1, 2, 3]


def test_an_epoch_that_the_driver_never_heard_of_does_not_hold_up_the_end(saved):
    record = JobRecord(job(0, epochs=3), epochs=[{"epoch": 1, "time_s": 1.0}])
    run = session([record], saved)
    run.next_config()
    assert not run.take_result(0, result(3))  # the checkpoint was two epochs ahead
    assert record.state == "COMPLETE"


def test_after_a_request_to_stop_nothing_more_is_handed_out(saved):
    run = session([JobRecord(job(0))], saved)
    run.stop_requested.set()
    assert run.next_config() is None
