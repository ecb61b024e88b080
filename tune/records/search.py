"""The content of ``search.json``: what a search was asked, what it ran on, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, field_serializer, field_validator

from tune.options import Options
from tune.options.search import SearchOptions
from tune.records.files import Record
from tune.spaces.objectives import SCORE, Settings
from tune.spaces.space import Signature
from utkface.evaluation.facts import DataFacts
from utkface.evaluation.facts import Hardware as HardwareRecord


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
    #: What was taken, what was not, and why; older searches call it their account.
    notes: list[str] = Field(default=[], validation_alias=AliasChoices("notes", "account"))

    @property
    def first_points(self) -> list[Settings]:
        """The parameters to try first."""
        return [point.params for point in self.points]


class CheckpointsRecord(Record):
    """What checkpoints are on the disk, and how many there can ever be."""

    num: int
    bytes: int
    at_most: int


class Lead(Record):
    """By how much lower the winner's metric is than another trial's, with its 95 % interval."""

    over: int  # the other trial's number
    metric: str = "score"
    value: float = Field(validation_alias=AliasChoices("value", "score"))  # older: only the score
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval is clear of zero."""
        return self.low > 0

    def __str__(self) -> str:
        words, interval = self.metric.replace("_", " "), f"({self.low:+.3f} to {self.high:+.3f})"
        return f"trial {self.over}: {self.value:+.3f} in {words} {interval}"


class Confirmed(Record):
    """A trial that was trained again: means over all its seeds, on the validation faces."""

    trial: int
    is_starting_point: bool
    seeds: list[int]  # the search's own first, if the trial was complete there
    values: dict[str, float]  # of each objective
    score: float
    age_mae: float
    gender_accuracy: float


class Confirmation(Record):
    """What training again showed: the trials, best first, and the first one's leads."""

    trials: list[Confirmed]
    leads: list[Lead]  # first those in what was minimised, if it is a mean over faces

    @property
    def winner(self) -> Confirmed:
        """The trial with the best mean over its seeds."""
        return self.trials[0]

    @property
    def deciding_leads(self) -> dict[int, Lead]:
        """The leads in what was minimised, by trial; in the score where that has none."""
        metric = self.leads[0].metric if self.leads else None
        return {lead.over: lead for lead in self.leads if lead.metric == metric}

    def lead(self, over: int, metric: str) -> Lead | None:
        """Return the lead over a trial in a metric, if it is known."""
        same = (lead for lead in self.leads if (lead.over, lead.metric) == (over, metric))
        return next(same, None)

    def sentence(self) -> str:
        """Say what may be claimed, in one sentence or two."""
        leads = self.deciding_leads
        start = next((trial.trial for trial in self.trials if trial.is_starting_point), None)
        runner_up = next((t.trial for t in self.trials[1:] if t.trial in leads), None)
        parts = []
        if runner_up is not None and runner_up != start:
            parts.append(f"over the runner-up, {leads[runner_up]}")
        if start in leads:
            parts.append(f"over the starting point, {leads[start]}")
        best = "the best" if len(self.winner.values) == 1 else "of the front, the best by score"
        text = f"trial {self.winner.trial} is {best}"
        if start == self.winner.trial:
            text = f"trial {start}, a starting point of the space, is {best} that was found"
        elif start in leads and not leads[start].is_clear:
            text += ", but no better than the starting point as far as these faces and seeds tell"
        elif len(self.trials) == 1:
            text = f"trial {self.winner.trial} is the only one that could be confirmed"
        return f"{text}; its lead {', and '.join(parts)}" if parts else text


Status = Literal["finished", "interrupted", "running", "failed"]


class RunRecord(Record):
    """What the records of all runs have in common; times are ISO 8601, local."""

    name: str
    question: str
    command: str
    created: str
    ended: str | None = None
    wall_s: float = 0.0  # of all sessions
    status: Status
    versions: dict[str, str]
    commit: str | None
    training_version: int = 1  # of the code that trains: other versions' scores do not compare

    @field_serializer("options", check_fields=False)
    def _but_their_folder(self, options: Options) -> dict[str, Any]:
        """Leave out the folder of results, which may move along with the run."""
        return {name: value for name, value in vars(options).items() if name != "results"}


class SearchRecord(RunRecord):
    """The content of ``search.json``."""

    space: str
    space_signature: Signature
    points: list[Settings]  # the space's own, tried first
    options: SearchOptions
    objectives: tuple[str, ...] = SCORE
    seed: int
    num_trials: int
    max_epochs: int
    image_size: int
    sampler: str
    scheduler: str
    grace: int | None
    reduction_factor: int
    rungs: list[int]
    split: str
    weights: str
    weights_hash: str | None = None  # of the file's content, if it is a file
    data: DataRecord
    concurrency: int
    cpus_per_trial: float
    gpus_per_trial: float
    memory_per_trial: int = 0  # bytes; 0: not planned
    hardware: HardwareRecord
    wandb: str | None = None
    warm_start: WarmStart = WarmStart()
    checkpoints: CheckpointsRecord | None = None
    confirmation: Confirmation | None = None  # what training the best again showed

    @field_validator("options", mode="before")
    @classmethod
    def _of_older_searches(cls, options: Any) -> Any:
        """Complete the options of the first searches, which had no other objective."""
        return {"objective": "score", **options} if isinstance(options, dict) else options

    @property
    def conditions(self) -> "Conditions":
        """What must be equal in another search for its scores to compare."""
        return Conditions.of(
            self.data,
            self.image_size,
            self.max_epochs,
            self.weights_hash or self.weights,
            self.training_version,
        )


@dataclass(frozen=True)
class Conditions:
    """What must be equal for the scores of two searches to be comparable, each as a text."""

    faces: str
    split: str
    image_size: str
    epochs: str
    first_weights: str
    training_version: str

    @classmethod
    def of(
        cls, data: DataRecord, image_size: int, epochs: int, weights: str, training_version: int
    ) -> Self:
        """Return them from what a search records."""
        return cls(
            faces=data.fingerprint[:8],
            split=data.split_hash[:8],
            image_size=str(image_size),
            epochs=str(epochs),
            first_weights=Path(weights).name,  # of older searches, a path that may differ
            training_version=str(training_version),
        )

    def differences(self, other: "Conditions") -> list[str]:
        """Name what differs, as in "epochs: 8 and 12"; nothing where scores can be compared."""
        pairs = {name: (value, getattr(other, name)) for name, value in vars(self).items()}
        if pairs["faces"][0] != pairs["faces"][1]:
            del pairs["split"]  # other faces always make another split
        return [
            f"{name.replace('_', ' ')}: {one} and {two}"
            for name, (one, two) in pairs.items()
            if one != two
        ]
