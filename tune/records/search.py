"""The content of ``search.json``: what a search was asked, what it ran on, and what came of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tune.spaces.objectives import SCORE
from utkface.io import UserError, replacing


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
    """What was taken from earlier searches; see `tune.search.warm_start`."""

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
        best = "the best" if len(self.winner.values) == 1 else "of the front, the best by score"
        text = f"trial {self.winner.trial} is {best}"
        if start == self.winner.trial:
            text = f"trial {start}, a starting point of the space, is {best} that was found"
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
    options: dict[str, Any]  # of `tune.search.options.SearchOptions`
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


def search_objectives(search: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a search minimises, from ``search.json``; older ones had the score alone."""
    return tuple(search.get("objectives") or SCORE)


def confirmation_of(search: Mapping[str, Any]) -> Confirmation | None:
    """Return what ``search.json`` says of trials that were trained again, if any were."""
    values = search.get("confirmation")
    return Confirmation.model_validate(values) if values else None
