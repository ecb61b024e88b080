"""What a search is and what it knows about its trials, as typed data that every reader shares.

The Optuna study on disk is the truth; a `TrialRecord` is a read-only view of one of its trials.
A `SearchRecord` is the content of ``search.json``: what was asked, and what it ran on.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from utkface.io import UserError, replacing

#: States in the order in which people ask for them, and how they are called on screens and pages.
STATES = {
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "unfinished",
}
#: What searches minimised before they said so.
SCORE = ("score",)


class _Record(BaseModel):
    # A newer version's fields are no reason to refuse what an older one can read.
    model_config = ConfigDict(extra="ignore", allow_inf_nan=True)


class SpaceSignature(_Record):
    """What a space can suggest: for each parameter its ranges and how many of 100 draws had it."""

    class Parameter(_Record):
        """A hyperparameter's ranges, one for each branch that differs."""

        ranges: list[str]
        num_draws: int

    parameters: dict[str, Parameter] = {}
    constants: dict[str, Any] = {}
    points: list[dict[str, Any]] = []


class DataRecord(_Record):
    """The faces of a search and how they were split."""

    source: str
    fingerprint: str
    split_hash: str
    is_demo: bool
    num_faces: int
    num_rejected: int
    num_train: int
    num_val: int
    num_test: int


class HardwareRecord(_Record):
    """What the cluster had when the search began."""

    machine: str = ""
    nodes: int
    cpus: float
    gpus: float
    memory_gib: float
    accelerators: list[str] = []


class WarmStartRecord(_Record):
    """What was taken from earlier searches; see `tune.warm_start`."""

    runs: list[str] = []
    known: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    account: list[str] = []


class CheckpointsRecord(_Record):
    """What checkpoints are on the disk, and how many there can ever be."""

    num: int
    bytes: int
    at_most: int


class Lead(_Record):
    """By how much lower the winner's score is than another's, with its 95 % interval."""

    over: int  # the other trial's number
    score: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval is clear of zero."""
        return self.low > 0

    def __str__(self) -> str:
        return (
            f"trial {self.over}: {self.score:+.3f} in score ({self.low:+.3f} to {self.high:+.3f})"
        )


class Confirmed(_Record):
    """A trial that was trained again: means over all its seeds, on the validation faces."""

    trial: int
    is_starting_point: bool
    seeds: list[int]  # the search's own first, if the trial was complete there
    values: dict[str, float]  # of each objective
    score: float
    age_mae: float
    gender_accuracy: float


class Confirmation(_Record):
    """What training again showed: the trials, best first, and the first one's leads."""

    trials: list[Confirmed]
    leads: list[Lead]

    @property
    def winner(self) -> Confirmed:
        """The trial with the best mean over its seeds."""
        return self.trials[0]

    def sentence(self) -> str:
        """Say what may be claimed, in one sentence or two."""
        leads = {lead.over: lead for lead in self.leads}
        start = next((trial.trial for trial in self.trials if trial.is_starting_point), None)
        runner_up = next((t.trial for t in self.trials[1:] if t.trial in leads), None)
        parts = []
        if runner_up is not None and runner_up != start:
            parts.append(f"over the runner-up, {leads[runner_up]}")
        if start in leads:
            parts.append(f"over the starting point, {leads[start]}")
        text = f"trial {self.winner.trial} is the best"
        if start == self.winner.trial:
            text = f"trial {start}, a starting point of the space, is the best that was found"
        elif start in leads and not leads[start].is_clear:
            text += ", but no better than the starting point as far as these faces and seeds tell"
        elif not parts:
            text = f"trial {self.winner.trial} is the only one that could be confirmed"
        return f"{text}; its lead {', and '.join(parts)}" if parts else text


class SearchRecord(_Record):
    """The content of ``search.json``; times are ISO 8601, local."""

    name: str
    space: str
    question: str
    space_signature: SpaceSignature
    points: list[dict[str, Any]]  # the space's own, tried first
    command: str
    options: dict[str, Any]  # of `tune.options.SearchOptions`
    objectives: tuple[str, ...] = SCORE
    seed: int
    created: str
    ended: str | None
    wall_s: float  # of all sessions
    status: Literal["finished", "interrupted", "running", "failed"]
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
    data: DataRecord
    concurrency: int
    cpus_per_trial: float
    gpus_per_trial: float
    memory_per_trial: int = 0  # bytes; 0: not planned
    hardware: HardwareRecord
    versions: dict[str, str]
    commit: str | None
    wandb: str | None = None
    warm_start: WarmStartRecord = Field(default_factory=WarmStartRecord)
    checkpoints: CheckpointsRecord | None = None
    training_version: int = 1  # of the code that trains: other versions' scores do not compare
    confirmation: Confirmation | None = None  # what training the best again showed

    @classmethod
    def parse(cls, values: Any, where: str = "search.json") -> Self:
        """Check the content of a file; raises `UserError` that names the field that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "its content"
            if first["type"] == "missing":
                problem = f"{field} is missing"
            else:
                problem = f"{field}={first['input']!r:.80}: {first['msg'].lower()}"
            raise UserError(
                f"{where} cannot be read ({problem}); was the run copied whole, or made by "
                "another version?"
            ) from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; raises `UserError` where it is not there, damaged or of another kind."""
        try:
            values = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read ({error}); was the run copied whole?"
            ) from error
        return cls.parse(values, str(path))

    def write(self, path: Path) -> None:
        """Write a file, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n")

    @property
    def conditions(self) -> "Conditions":
        """What must be equal in another search for its scores to compare."""
        return Conditions.of(self.model_dump())


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
    def of(cls, search: Mapping[str, Any]) -> Self:
        """Read them from the content of ``search.json``, or what there will be of it."""
        data = search.get("data") or {}
        return cls(
            faces=str(data.get("fingerprint"))[:8],
            split=str(data.get("split_hash"))[:8],
            image_size=str(search.get("image_size")),
            epochs=str(search.get("max_epochs")),
            first_weights=Path(str(search.get("weights"))).name,  # a file may have several paths
            training_version=str(search.get("training_version", 1)),
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


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial: its configuration, its curve and how it ended."""

    number: int
    state: str  # COMPLETE, PRUNED (stopped early), FAIL, RUNNING (unfinished): Optuna's names
    score: float | None  # the last one reported; lower is better
    params: dict[str, Any]  # what the search space suggested
    config: dict[str, Any]  # the whole `TrainConfig`
    epochs: list[dict[str, Any]]  # the metrics of each finished epoch, in order
    reason: str | None  # why a FAIL failed, or how a PRUNED diverged
    started: str | None  # ISO 8601, local time
    ended: str | None
    is_starting_point: bool = False  # one of the space's own, tried first

    @property
    def diverged(self) -> bool:
        """Whether the trial was ended because its loss or its predictions were not finite."""
        return self.state == "PRUNED" and self.reason is not None


def search_objectives(search: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a search minimises, from ``search.json``; older ones had the score alone."""
    return tuple(search.get("objectives") or SCORE)


def last_metrics(record: TrialRecord) -> dict[str, Any]:
    """Return the metrics of a trial's last epoch, nothing for a trial without one."""
    return record.epochs[-1] if record.epochs else {}


def judged_metric(objectives: Sequence[str]) -> str:
    """Return the metric that trials are compared by on the way, for people.

    It is the objective itself, or the score where there are several; early stopping then judges by
    all of them.
    """
    return objectives[0] if len(objectives) == 1 else "score"


def describe_objectives(objectives: Sequence[str]) -> str:
    """Return what a search minimises, in words."""
    if len(objectives) == 1:
        return objectives[0]
    return f"the Pareto front of {', '.join(objectives)}, in the order of the score"


def objective_values(record: TrialRecord, objectives: Sequence[str]) -> list[float]:
    """Return a trial's last value of each objective, infinite where it has none."""
    last = last_metrics(record)
    values = [record.score if name == "score" else last.get(name) for name in objectives]
    return [math.inf if value is None or math.isnan(value) else value for value in values]


def rank_complete(
    records: Sequence[TrialRecord], objectives: Sequence[str] = SCORE
) -> list[TrialRecord]:
    """Return the trials that had the full budget, best first; no other can be called best.

    Of several objectives none comes first, so the Pareto front does, and the score decides within
    it and after it.
    """
    complete = [record for record in records if record.state == "COMPLETE"]
    if len(objectives) == 1:
        return sorted(complete, key=lambda r: (objective_values(r, objectives), r.number))
    front = {record.number for record in pareto_front(records, objectives)}
    return sorted(complete, key=lambda r: (r.number not in front, r.score, r.number))


def pareto_front(records: Sequence[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """Return the complete trials that no other one dominates, lowest score first.

    A trial dominates another if it is at least as good in every objective and better in one.
    """
    complete = [record for record in records if record.state == "COMPLETE"]
    values = {record.number: objective_values(record, objectives) for record in complete}
    front = [
        record
        for record in complete
        if not any(_dominates(other, values[record.number]) for other in values.values())
    ]
    return sorted(front, key=lambda record: (record.score, record.number))


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
