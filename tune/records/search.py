"""The content of ``search.json``: what a search was asked, what it ran on, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import field_validator

from tune.options.search import SearchOptions
from tune.records.confirmation import Confirmation
from tune.records.files import Record, RunRecord
from tune.spaces.objectives import Settings
from tune.spaces.signature import Signature
from utkface.evaluation.facts import DataFacts, Hardware


class DataRecord(DataFacts):
    """The faces of a search and how they were split."""

    split_hash: str
    num_train: int
    num_val: int
    num_test: int


class EarlierTrial(Record):
    """A trial of an earlier search, with its parameters in the space of the new one."""

    run: str
    trial: int
    params: Settings


class KnownTrial(EarlierTrial):
    """One whose metrics are true of the new search too."""

    state: str
    epochs: Sequence[Mapping[str, int | float]]


class TriedFirst(EarlierTrial):
    """One whose parameters are tried first; its score says nothing here."""

    score: float


class WarmStart(Record):
    """What a search takes from earlier ones; see `tune.search.warm_start`."""

    runs: list[str] = []
    known: list[KnownTrial] = []
    points: list[TriedFirst] = []
    notes: list[str] = []  # what was taken, what was not, and why

    @property
    def first_points(self) -> list[Settings]:
        """The parameters to try first."""
        return [point.params for point in self.points]


class SearchRecord(RunRecord):
    """The content of ``search.json``."""

    space: str
    space_signature: Signature
    points: list[Settings]  # the space's own, tried first
    options: SearchOptions  # with the objectives that the space declares, if it was told none
    rungs: list[int]
    weights_hash: str | None = None  # of the file's content, if it is a file
    data: DataRecord
    concurrency: int
    cpus_per_trial: float
    gpus_per_trial: float
    hardware: Hardware
    wandb: str | None = None
    warm_start: WarmStart = WarmStart()
    confirmation: Confirmation | None = None  # what training the best again showed

    @field_validator("options", mode="before")
    @classmethod
    def _of_older_searches(cls, options: Any) -> Any:
        """Complete the options of the first searches, which had no other objective."""
        return {"objective": "score", **options} if isinstance(options, dict) else options

    @property
    def conditions(self) -> "Conditions":
        """What must be equal in another search for its scores to compare."""
        return Conditions.of(self.data, self.options, self.weights_hash, self.training_version)


@dataclass(frozen=True)
class Conditions:
    """What must be equal for the scores of two searches to be comparable."""

    faces: str
    split: str
    image_size: int
    epochs: int
    first_weights: str
    training_version: int

    @classmethod
    def of(
        cls,
        data: DataRecord,
        options: SearchOptions,
        weights_hash: str | None,
        training_version: int,
    ) -> Self:
        """Return them from what a search records."""
        return cls(
            faces=data.fingerprint[:8],
            split=data.split_hash[:8],
            image_size=options.image_size,
            epochs=options.max_epochs,
            # Of older searches a path, which may differ.
            first_weights=Path(weights_hash or options.weights).name,
            training_version=training_version,
        )

    def differences(self, other: "Conditions") -> list[str]:
        """Name what differs, as in "epochs: 8 and 12"; nothing where scores can be compared."""
        return [
            f"{name.replace('_', ' ')}: {value} and {vars(other)[name]}"
            for name, value in vars(self).items()
            if value != vars(other)[name]
            # Other faces always make another split.
            and not (name == "split" and self.faces != other.faces)
        ]
