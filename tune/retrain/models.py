"""The models of a retraining: a study of given trials, each a configuration, a protocol and a seed.

It is kept as a search's is, in a journal that survives a crash at any moment; ``retrain.json``
holds the same for people.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tune.records.retrain import Job, ModelRecord
from tune.records.trials import TrialRecord
from tune.study.sources import GivenTrial
from tune.study.study import GivenStudy
from utkface.data import Split


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


class GivenJob(GivenTrial):
    """A job as its study keeps it."""

    job: Job


class RetrainStudy:
    """The models of a retraining; opened anew, it holds what it held."""

    def __init__(self, journal: Path) -> None:
        # What ends a training that diverged. Trials are not compared by it.
        objectives = ("train_loss",)
        fixed = {"seed": 0, "epochs": 1}
        self.study = GivenStudy(journal, GivenJob, fixed, kind=STUDY, objectives=objectives)

    @property
    def jobs(self) -> list[Job]:
        """All jobs in the order of their numbers; one that was tried again is there twice."""
        return [given.job for given in self.study.given]

    def plan(self, jobs: Sequence[Job]) -> None:
        """Have these jobs done and no others: those that are not there yet, begun, or failed.

        One that diverged would do so again.
        """
        failed = {record.number for record in self.study.records() if record.state == "FAIL"}
        records = self.records()
        there = {record.job.identity for record in records if record.job.number not in failed}
        planned = {job.identity for job in jobs}
        unfinished = [record.job for record in records if record.state == "RUNNING"]
        self.study.withdraw({job.number for job in unfinished if job.identity not in planned})
        for job in jobs:
            if job.identity not in there:
                job = job.model_copy(update={"number": len(self.study.given)})
                self.study.give(GivenJob(config=job.config, rows=job.rows, job=job))

    def records(self) -> list[ModelRecord]:
        """Return how far each job has come; of one that was tried again, the last attempt."""
        trials = {record.number: record for record in self.study.records()}
        by_identity = {}
        for job in self.jobs:
            trial = trials.get(job.number)
            state = "RUNNING" if trial is None else trial.state
            by_identity[job.identity] = ModelRecord(
                job=job,
                epochs=trial.epochs if trial else [],
                state="FAIL" if trial and _is_lost(trial) else state,
                reason=trial.reason if trial else None,
            )
        return sorted(by_identity.values(), key=lambda record: record.job.number)


def _is_lost(record: TrialRecord) -> bool:
    """Say whether a training came to nothing: it failed, or diverged."""
    return record.state in ("FAIL", "PRUNED")
