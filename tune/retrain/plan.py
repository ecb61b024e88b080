"""What is retrained: which models, of which configurations, on which faces."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from tune.options import PROTOCOLS
from tune.options.retrain import RetrainOptions
from tune.records.retrain import FOLD, INTERVAL, RETRAIN, Finalist, Job, ModelRecord
from tune.retrain.models import training_rows
from utkface.batches import Teacher
from utkface.data import Faces, Split
from utkface.io import UserError

_YEARS = 10  # of age that folds spread together


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
        first = self.finalists[0].config
        labels = [finalist.label for finalist in self.finalists]
        splits = " and ".join(self.options.splits)
        size, epochs = f"{first.image_size} px", f"epochs: {first.epochs}"
        parts = [*labels, f"{splits} split", f"seeds: {self.options.seeds}", size, epochs]
        if self.options.folds:
            parts.append(f"folds: {self.options.folds}")
        if self.options.teacher:
            names = " and ".join(self.options.teacher)
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
        num_folds = self.options.folds
        assert num_folds is not None
        return {
            protocol: assign_folds(
                self.faces.table, training_rows(split, self.options.part)[0], num_folds
            )
            for protocol, split in self.splits.items()
        }

    def training_rows(self, job: Job) -> tuple[np.ndarray, np.ndarray]:
        """Return (training, validation) rows of a model."""
        train, val = training_rows(self.splits[job.protocol], job.part)
        if job.fold is None:
            return train, val
        return train[self.folds[job.protocol] != job.fold], np.empty(0, dtype=np.int64)

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
        if options.folds:
            return [
                job.model_copy(update={"fold": fold, "num_folds": options.folds})
                for job in self._jobs(
                    self.finalists, FOLD, protocols, options.part, range(options.seeds)
                )
                for fold in range(options.folds)
            ]
        jobs = self._jobs(self.finalists, RETRAIN, protocols, options.part, range(options.seeds))
        if options.intervals and options.part == "test" and self.was_chosen:
            first = self.finalists[0]
            # It is to say how far predictions of faces stray that nobody has seen. The teacher's
            # models have seen those of the validation part, so it learns from labels alone.
            headline = [Finalist(first.label, first.config.replace(teacher_weight=0.0))]
            jobs += self._jobs(headline, INTERVAL, protocols[:1], "validation", range(1))
        return jobs

    def _jobs(
        self,
        finalists: list[Finalist],
        purpose: str,
        protocols: list[str],
        part: str,
        places: range,
    ) -> list[Job]:
        """Return a job for each configuration, protocol and place in the row of seeds."""
        return [
            Job(
                purpose=purpose,
                label=finalist.label,
                protocol=protocol,
                part=part,
                seed=seed,
                config=finalist.config.replace(seed=seed).to_dict(),
            )
            for finalist in finalists
            for protocol in protocols
            for seed in (self._first_seed(finalist) + place for place in places)
        ]

    def _first_seed(self, finalist: Finalist) -> int:
        """A file names the first of its seeds; a search's is the one that it was chosen by."""
        return finalist.config.seed if self.options.config else 0


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
