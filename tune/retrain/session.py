"""A retraining as a study of given trials: what there is to train, and how far each model has come.

It is kept as a search's is, in a journal that survives a crash at any moment; ``retrain.json``
holds the same for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune.records import TrialRecord
from tune.retrain.jobs import Job
from tune.study import ROWS, GivenTrials, SearchStudy, enqueued_points

STUDY_NAME = "retrain"
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
        self.points = enqueued_points(journal, STUDY_NAME)
        self.study = SearchStudy(
            journal, GivenTrials(self.points), {"seed": 0, "epochs": 1}, name=STUDY_NAME,
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
