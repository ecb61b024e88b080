"""The content of ``retrain.json``, and of ``best.json``, from which a retraining begins."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tune.options.retrain import RetrainOptions
from tune.records.confirmation import Confirmed
from tune.records.files import Measured, Record, RunRecord
from tune.spaces.objectives import Settings
from utkface.config import TrainConfig
from utkface.evaluation.facts import DataFacts, SharedHardware

#: Why a model is trained: to be the result; or, without the validation part, to learn from it how
#: far predictions stray (`utkface.intervals`); or, without a fold of the training faces, to predict
#: these as a teacher (`tune.retrain.teachers`).
RETRAIN, INTERVAL, FOLD = "retrain", "interval", "fold"


class Job(Record):
    """One model to be trained, and the part of the faces to judge it on."""

    purpose: str  # RETRAIN, INTERVAL or FOLD
    label: str  # of the configuration, as in "trial 9"
    protocol: str  # grouped or random
    part: str  # test or validation
    seed: int
    config: Settings  # all `TrainConfig` fields
    fold: int | None = None  # that is left out of the training faces, from 0
    num_folds: int | None = None
    number: int = -1  # the place of its record in ``retrain.json``, once it has one

    @property
    def rows(self) -> str:
        """The name of the rows that the model trains on, in `TrialJob.rows`."""
        without = "" if self.fold is None else f", without {self._fold}"
        return f"{self.protocol}, before {self.part}{without}"

    @property
    def identity(self) -> tuple[str, str, str, str, int, int | None]:
        """What tells the job from every other of its retraining."""
        return self.purpose, self.label, self.protocol, self.part, self.seed, self.fold

    @property
    def title(self) -> str:
        """What people read: "trial 9, grouped, seed 0"."""
        title = f"{self.label}, {self.protocol}, seed {self.seed}"
        if self.purpose == FOLD:
            return f"{title}, {self._fold}"
        return title if self.purpose == RETRAIN else f"{title} ({self.purpose})"

    @property
    def _fold(self) -> str:
        assert self.fold is not None
        return f"fold {self.fold + 1} of {self.num_folds}"

    @property
    def file_stem(self) -> str:
        """A file name for the model, without its suffix."""
        return file_stem(self.title)


def file_stem(text: str) -> str:
    """Return what of a text a file name can have on any system; texts may have one in common."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class ModelRecord(Record):
    """A job and how far it has come: each finished epoch's metrics, and why it failed if it did."""

    job: Job
    epochs: Sequence[Mapping[str, int | float]]
    state: str = "RUNNING"  # COMPLETE, FAIL or RUNNING; older files do not say
    reason: str | None = None

    @property
    def train_seconds(self) -> float:
        """What its epochs took, in all sessions."""
        return sum(epoch["time_s"] for epoch in self.epochs)


class ChosenConfig(Record):
    """A configuration that is retrained."""

    label: str
    config: Settings


class RetrainRecord(RunRecord):
    """The content of ``retrain.json``."""

    search: str | None
    search_split: str | None = None  # the protocol by which it split its faces
    hardware: SharedHardware | None = None
    options: RetrainOptions
    # Kept here: by the time that this goes on, the search may have found a better one.
    finalists: list[ChosenConfig]
    data: DataFacts
    weights_hash: str | None = None  # of a file of weights to begin with
    splits: dict[str, str] = {}  # their hashes, by protocol
    teachers: dict[str, str] = {}  # a digest of what they say, by protocol
    models: list[ModelRecord] = []


class Best(Record):
    """One of the best configurations of a search."""

    trial: int
    score: float
    metrics: Measured = {}
    config: Settings
    confirmed: Confirmed | None = None


class BestRecord(Best):
    """The content of ``best.json``: the best configuration, and all that may be retrained."""

    order: str = ""  # of the finalists
    finalists: list[Best]


@dataclass(frozen=True)
class Finalist:
    """A configuration to retrain, before epochs, image size and seed are set."""

    label: str
    config: TrainConfig
