"""What is retrained: which models, of which configurations, on which faces; and how far each is."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from tune.options import PROTOCOLS
from tune.options.retrain import RetrainOptions
from tune.records.retrain import FOLD, INTERVAL, RETRAIN, Finalist, Job, ModelRecord
from tune.study.sources import GivenTrial
from tune.study.study import GivenStudy
from utkface.batches import Teacher
from utkface.data import Faces, Split
from utkface.io import UserError

_YEARS = 10  # of age that folds spread together
_NO_ROWS = np.empty(0, dtype=np.int64)


def training_rows(split: Split, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (training, validation) rows of a model that is to be judged on ``part``.

    Before the test part a model learns from everything else and nothing is left to validate on:
    every choice has been made by then.
    """
    if part == "test":
        return np.sort(np.concatenate([split.train, split.val])), _NO_ROWS
    return split.train, split.val


def judged_rows(split: Split, part: str) -> np.ndarray:
    """Return the rows of the part that a model is judged on."""
    return split.test if part == "test" else split.val


@dataclass(frozen=True)
class Plan:
    """A retraining's ingredients: nothing has been written or started yet."""

    options: RetrainOptions  # with search, weights and data as decided
    finalists: list[Finalist]
    faces: Faces
    splits: dict[str, Split]  # by protocol
    search_split: str | None = None  # the protocol by which the search split its faces
    teachers: dict[str, Teacher] | None = None  # by protocol; None where they are yet to be read

    @property
    def name(self) -> str:
        """What the folder is named after."""
        kind = "folds" if self.options.folds else "retrain"
        if self.options.search is not None:
            return f"{kind}-{self.options.search}"
        labels = {finalist.label.partition(":")[0] for finalist in self.finalists}
        return f"{kind}-{labels.pop()}" if len(labels) == 1 else f"{kind}-configurations"

    @property
    def question(self) -> str:
        """What is trained, in a line for people."""
        options, first = self.options, self.finalists[0].config
        parts = [finalist.label for finalist in self.finalists]
        parts += [f"{' and '.join(options.splits)} split", f"seeds: {options.seeds}"]
        parts += [f"{first.image_size} px", f"epochs: {first.epochs}"]
        if options.folds:
            parts.append(f"folds: {options.folds}")
        if options.teacher:
            names = " and ".join(options.teacher)
            parts.append(f"teacher: {names} (weight {first.teacher_weight:g})")
        return ", ".join(parts)

    @property
    def weights(self) -> str:
        """The name or path of what backbones begin with."""
        assert self.options.weights is not None, "that is decided"
        return self.options.weights

    @property
    def was_chosen(self) -> bool:
        """Whether the first configuration is what a search chose, or the only one given.

        Else several of the user's are compared, and none of them is the result.
        """
        return self.options.search is not None or len(self.finalists) == 1

    @cached_property
    def folds(self) -> dict[str, np.ndarray]:
        """By protocol, the fold that each training face belongs to."""
        assert self.options.folds is not None
        return {
            protocol: assign_folds(
                self.faces.table, training_rows(split, self.options.part)[0], self.options.folds
            )
            for protocol, split in self.splits.items()
        }

    def training_rows(self, job: Job) -> tuple[np.ndarray, np.ndarray]:
        """Return (training, validation) rows of a model."""
        train, val = training_rows(self.splits[job.protocol], job.part)
        if job.fold is None:
            return train, val
        return train[self.folds[job.protocol] != job.fold], _NO_ROWS

    def fold_rows(self, protocol: str, fold: int) -> np.ndarray:
        """Return the training rows of a fold, which its models predict."""
        train, _ = training_rows(self.splits[protocol], self.options.part)
        return train[self.folds[protocol] == fold]

    def select(self, records: Sequence[ModelRecord]) -> list[ModelRecord]:
        """Return the records of planned jobs, in the plan's order.

        A session before may have asked for more seeds, or for intervals; and a job that was tried
        again has a later number than it would have had.
        """
        places = {job.identity: place for place, job in enumerate(self.jobs())}
        planned = [record for record in records if record.job.identity in places]
        return sorted(planned, key=lambda record: places[record.job.identity])

    def jobs(self) -> list[Job]:
        """Return the models to train: of each finalist, best first, and for intervals."""
        options = self.options
        protocols = [protocol for protocol in PROTOCOLS if protocol in options.splits]
        purpose, folds = (FOLD, range(options.folds)) if options.folds else (RETRAIN, [None])
        jobs = [
            self._job(purpose, finalist, protocol, options.part, place, fold)
            for finalist in self.finalists
            for protocol in protocols
            for place in range(options.seeds)
            for fold in folds
        ]
        if options.intervals and options.part == "test" and self.was_chosen and not options.folds:
            first = self.finalists[0]
            # It is to say how far predictions of faces stray that nobody has seen. The teacher's
            # models have seen those of the validation part, so it learns from labels alone.
            headline = Finalist(first.label, first.config.replace(teacher_weight=0.0))
            jobs.append(self._job(INTERVAL, headline, protocols[0], "validation", 0))
        return jobs

    def _job(
        self,
        purpose: str,
        finalist: Finalist,
        protocol: str,
        part: str,
        place: int,
        fold: int | None = None,
    ) -> Job:
        """Return a job by its place in the row of seeds."""
        # A file names the first of its seeds; a search's is the one that it was chosen by.
        seed = place + (finalist.config.seed if self.options.config else 0)
        return Job(
            purpose=purpose,
            label=finalist.label,
            protocol=protocol,
            part=part,
            seed=seed,
            config=finalist.config.replace(seed=seed).to_dict(),
            fold=fold,
            num_folds=self.options.folds,
        )


def assign_folds(table: pd.DataFrame, rows: np.ndarray, num_folds: int) -> np.ndarray:
    """Return the fold (N,), 0 to ``num_folds`` - 1, of each of some rows of the table of faces.

    Copies stay together, ages and genders are spread evenly. A function of the faces alone, in
    whichever order, so that a run that goes on elsewhere has the same folds. Raises `UserError`
    where there are too few for a group in each.
    """
    faces = table.iloc[rows].reset_index(drop=True).sort_values("file")
    num_groups = faces["group"].nunique()
    if num_groups < num_folds:
        raise UserError(
            f"--folds {num_folds} is more than the {num_groups} different training faces; "
            "give fewer"
        )
    strata = faces["age"] // _YEARS * 2 + faces["gender"]
    if strata.value_counts().max() < num_folds:  # which scikit-learn refuses
        strata = strata * 0
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=0)
    folds = np.empty(len(rows), dtype=np.int64)
    with warnings.catch_warnings():  # about strata with fewer faces than folds
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, left_out) in enumerate(splitter.split(faces, strata, faces["group"])):
            folds[faces.index[left_out]] = fold
    return folds


class GivenJob(GivenTrial):
    """A job as its study keeps it."""

    job: Job


class RetrainStudy:
    """The models of a retraining as a study of given trials; opened anew, it holds what it held.

    It is kept as a search's is, in a journal that survives a crash at any moment; ``retrain.json``
    holds the same for people.
    """

    def __init__(self, journal: Path) -> None:
        # What ends a training that diverged. Trials are not compared by it.
        objectives = ("train_loss",)
        fixed = {"seed": 0, "epochs": 1}
        self.study = GivenStudy(journal, GivenJob, fixed, kind="retrain", objectives=objectives)

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
            record = ModelRecord(job=job, epochs=[])
            if trial is not None:
                state = "FAIL" if trial.state == "PRUNED" else trial.state  # it diverged
                record = ModelRecord(job=job, epochs=trial.epochs, state=state, reason=trial.reason)
            by_identity[job.identity] = record
        return sorted(by_identity.values(), key=lambda record: record.job.number)
