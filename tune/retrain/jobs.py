"""What a retraining consists of: models to train, each a configuration, a protocol and a seed."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

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
