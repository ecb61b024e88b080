"""Hands out models to train and keeps the record of them, while Ray runs the training."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tune.observer import Observer
from tune.records import TrialRecord
from tune.retrain.jobs import Job
from tune.trainable import DIVERGED, FAILURE, METRICS


@dataclass
class JobRecord:
    """A job and how far it has come: each finished epoch's metrics, and why it failed if it did."""

    job: Job
    epochs: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None

    @property
    def state(self) -> str:
        """COMPLETE, FAIL or RUNNING, as of a trial."""
        if self.reason is not None:
            return "FAIL"
        return "COMPLETE" if self.epochs_done >= self.job.config["epochs"] else "RUNNING"

    @property
    def epochs_done(self) -> int:
        """How many epochs the model has been trained for."""
        return self.epochs[-1]["epoch"] if self.epochs else 0

    @property
    def train_seconds(self) -> float:
        """What its epochs took, in all sessions."""
        return sum(epoch["time_s"] for epoch in self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """Return the record for ``retrain.json``."""
        return {"job": self.job.to_dict(), "epochs": self.epochs, "reason": self.reason}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "JobRecord":
        """Read a record back from ``retrain.json``; a failed job is tried again."""
        return cls(Job.from_dict(values["job"]), list(values["epochs"]))

    def as_trial(self) -> TrialRecord:
        """Return what the observers of a search are told of a trial."""
        last = self.epochs[-1] if self.epochs else {}
        return TrialRecord(
            number=self.job.number,
            state=self.state,
            score=last.get("score"),
            params={},
            config=self.job.config,
            epochs=self.epochs,
            reason=self.reason,
            started=None,
            ended=None,
        )


class RetrainSession:
    """One run of the retraining command's driver over some jobs.

    ``save`` makes the records durable; it is called after every epoch and ending. Epochs beyond a
    record's last are never lost: a worker repeats the last one of its checkpoint when it starts.
    """

    def __init__(
        self,
        records: Sequence[JobRecord],
        observers: Sequence[Observer],
        save: Callable[[], None],
    ) -> None:
        self.stop_requested = threading.Event()
        self.interrupted = False
        self._observers, self._save = observers, save
        self._records = {record.job.number: record for record in records}
        self._waiting = [record for record in records if record.state == "RUNNING"]

    @property
    def has_more(self) -> bool:
        """Whether there is a model yet to be trained."""
        return bool(self._waiting)

    def next_config(self) -> dict[str, Any] | None:
        """Return the next job's Ray configuration, or None when all have been handed out."""
        if not self._waiting or self.stop_requested.is_set():
            return None
        record = self._waiting.pop(0)
        job = record.job
        for observer in self._observers:
            observer.trial_started(job.number, job.config, record.epochs_done)
        return {"number": job.number, "train": job.config, "rows": job.rows}

    def take_result(self, number: int, result: dict[str, Any]) -> bool:
        """Record one epoch or failure; return whether the job goes on."""
        for kind in (FAILURE, DIVERGED):
            if kind in result:
                self.take_failure(number, result[kind])
                return False
        record, metrics = self._records[number], result[METRICS]
        # A lost worker's successor repeats epochs that may be on record.
        earlier = [epoch for epoch in record.epochs if epoch["epoch"] < metrics["epoch"]]
        record.epochs = [*earlier, metrics]
        self._save()
        for observer in self._observers:
            observer.epoch_finished(number, metrics)
        if record.state == "COMPLETE":
            self._ended(record)
        return record.state == "RUNNING"

    def take_retry(self, number: int, reason: str) -> None:
        """Say that a job's machine failed it, and that it is tried again."""
        for observer in self._observers:
            observer.trial_retried(number, reason)

    def take_failure(self, number: int, reason: str) -> None:
        """Record that a job failed; the others go on."""
        record = self._records[number]
        record.reason = reason
        self._save()
        self._ended(record)

    def _ended(self, record: JobRecord) -> None:
        for observer in self._observers:
            observer.trial_ended(record.as_trial())
