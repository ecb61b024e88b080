"""The models of a retraining: a study of given trials, each a configuration, a protocol and a seed.

It is kept as a search's is, in a journal that survives a crash at any moment; ``retrain.json``
holds the same for people.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tune.records.trials import TrialRecord
from tune.study.store import enqueued_points
from tune.study.study import ROWS, GivenTrials, SearchStudy
from utkface.data import Split

#: Why a model is trained: to be the result; or, without the validation part, to learn from it how
#: far predictions stray (`utkface.intervals`).
RETRAIN, INTERVAL = "retrain", "interval"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model to be trained, and the part of the faces to judge it on."""

    purpose: str  # RETRAIN or INTERVAL
    label: str  # of the configuration, as in "trial 9"
    protocol: str  # grouped or random
    part: str  # test or validation
    seed: int
    config: dict[str, Any]  # all `TrainConfig` fields
    number: int = -1  # the place of its record in ``retrain.json``, once it has one

    @property
    def rows(self) -> str:
        """The name of the rows that the model trains on, in `TrialJob.rows`."""
        return f"{self.protocol}, before {self.part}"

    @property
    def identity(self) -> tuple[str, str, str, str, int]:
        """What tells the job from every other of its retraining."""
        return self.purpose, self.label, self.protocol, self.part, self.seed

    @property
    def title(self) -> str:
        """What people read: "trial 9, grouped, seed 0"."""
        purpose = "" if self.purpose == RETRAIN else f" ({self.purpose})"
        return f"{self.label}, {self.protocol}, seed {self.seed}{purpose}"

    @property
    def file_stem(self) -> str:
        """A file name for the model, without its suffix."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def to_dict(self) -> dict[str, Any]:
        """Return the job for ``retrain.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read a job back from ``retrain.json``."""
        return cls(**values)


def training_rows(split: Split, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (training, validation) rows of a model that is to be judged on ``part``.

    Before the test part a model learns from everything else and nothing is left to validate on:
    every choice has been made by then.
    """
    if part == "test":
        return np.sort(np.concatenate([split.train, split.val])), np.empty(0, dtype=np.int64)
    return split.train, split.val


def judged_rows(split: Split, part: str) -> np.ndarray:
    """Return the rows of the part that a model is judged on."""
    return split.test if part == "test" else split.val


STUDY = "retrain"

#: What ends a training that diverged. Trials are not compared by it.
OBJECTIVES = ("train_loss",)


@dataclass(frozen=True)
class JobRecord:
    """A job and how far it has come: each finished epoch's metrics, and why it failed if it did."""

    job: Job
    epochs: list[dict[str, Any]]
    state: str  # COMPLETE, FAIL or RUNNING
    reason: str | None

    @property
    def train_seconds(self) -> float:
        """What its epochs took, in all sessions."""
        return sum(epoch["time_s"] for epoch in self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """Return the record for ``retrain.json``."""
        return {"job": self.job.to_dict(), "epochs": self.epochs, "reason": self.reason}


class RetrainStudy:
    """The models of a retraining; opened anew, it holds what it held."""

    def __init__(self, journal: Path) -> None:
        self.points = enqueued_points(journal, STUDY)
        self.study = SearchStudy(
            journal, GivenTrials(self.points), {"seed": 0, "epochs": 1}, kind=STUDY,
            objectives=OBJECTIVES, sampler="random", scheduler="none",
        )  # fmt: skip

    @property
    def jobs(self) -> list[Job]:
        """All jobs in the order of their numbers; one that was tried again is there twice."""
        return [Job.from_dict(point["job"]) for point in self.points]

    def add(self, jobs: Sequence[Job]) -> None:
        """Have jobs done that are not there yet, or that failed."""
        there = {record.job.identity for record in self.records() if record.state != "FAIL"}
        for job in jobs:
            if job.identity not in there:
                job = replace(job, number=len(self.points))
                point = {"config": job.config, "job": job.to_dict(), ROWS: job.rows}
                self.points.append(point)
                self.study.add_point(point)

    def records(self) -> list[JobRecord]:
        """Return how far each job has come; of one that was tried again, the last attempt."""
        trials = {record.number: record for record in self.study.records()}
        by_identity = {}
        for job in self.jobs:
            trial = trials.get(job.number)
            state = "RUNNING" if trial is None else trial.state
            by_identity[job.identity] = JobRecord(
                job=job,
                epochs=trial.epochs if trial else [],
                state="FAIL" if trial and _is_lost(trial) else state,
                reason=trial.reason if trial else None,
            )
        return sorted(by_identity.values(), key=lambda record: record.job.number)


def _is_lost(record: TrialRecord) -> bool:
    """Say whether a training came to nothing: it failed, or diverged."""
    return record.state in ("FAIL", "PRUNED")
