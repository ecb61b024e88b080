"""What an evaluation says, as typed records, and ``evaluation.json``, where they are kept.

Ages are in years, gender probabilities are of being female, shares lie between 0 and 1. A metric
that does not exist for the faces at hand (R² of one single age) is None: JSON knows no NaN.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError, field_validator

from utkface.evaluation.facts import DataFacts, Record, SharedHardware, what_is_wrong
from utkface.io import UserError

#: With fewer faces a group is shown, size and interval, but not called the worst or the best.
SMALL_GROUP_FACES = 30

_DIGITS = 5  # significant: more than any interval here can tell apart
#: Settings are kept to the last digit, as training is repeated from them.
_EXACT = {"config", "data", "versions"}


class Estimate(Record):
    """A value with its 95 % interval for want of faces."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class SeedEstimate(Estimate):
    """The mean over training seeds: the interval is for want of faces, the spread between seeds."""

    spread: float | None = None
    per_seed: list[float | None] = []


class Group(Record):
    """The errors of one subgroup; ``small`` ones say little and are not compared."""

    group: str
    num_faces: int
    small: bool
    age_mae: Estimate
    age_bias: Estimate
    gender_accuracy: Estimate


class Gap(Record):
    """How far the worst group is from the best and from all faces, in the metric's own sign."""

    worst: str
    best: str
    worst_minus_best: Estimate
    worst_minus_all: Estimate

    @field_validator("worst_minus_best", "worst_minus_all", mode="before")
    @classmethod
    def _without_interval(cls, value: object) -> object:
        return {"value": value} if isinstance(value, float) else value  # of older evaluations


class CalibrationBin(Record):
    """What was predicted and what was true where P(female) is between low and high."""

    low: float
    high: float
    num_faces: float  # mean over seeds
    mean_probability: float | None
    share_female: float | None


class Coverage(Record):
    """How often a model's intervals of age hold the true age, and how wide they are."""

    level: float
    coverage: Estimate
    mean_width_years: float


class Subject(Record):
    """What was judged, and on what."""

    label: str
    protocol: str
    part: str


class Scores(Record):
    """Every metric over all faces of a part."""

    num_faces: int
    num_groups: int | None = None  # of copies
    overall: dict[str, SeedEstimate]

    def metric(self, name: str) -> SeedEstimate:
        """Return one metric; empty where an older evaluation does not know it."""
        return self.overall.get(name, SeedEstimate())


class ModelEvaluation(Scores):
    """All that predictions of S seeds say of a model."""

    num_seeds: int
    subgroups: dict[str, list[Group]] = {}  # by attribute
    gaps: dict[str, dict[str, Gap]] = {}  # by attribute and metric
    calibration: list[CalibrationBin] = []
    confusion: dict[str, list[list[float]]] = {}  # by age: true × predicted (male, female)
    age_confusion: list[list[float]] = []  # true × predicted age bin
    interval: Coverage | None = None


class Settings(Record):
    """A model's `TrainConfig` as it was, perhaps in an older version; the rest are extra fields."""

    model_config = ConfigDict(extra="allow")
    epochs: int | None = None
    image_size: int | None = None
    initial_image_size: int = 0
    seed: int | None = None
    backbone: str | None = None
    pretrained: bool | None = None
    dropout: float | None = None
    age_loss: str | None = None


class Row(ModelEvaluation, Subject):
    """One configuration under one protocol."""

    headline: bool  # what to speak of: the search's choice, or the only one given
    seeds: list[int] = []
    num_train: int | None = None
    config: Settings = Settings()
    train_seconds: list[float] = []
    train_losses: list[list[float]] = []  # after each epoch, by seed
    model_files: list[str] = []

    @property
    def seconds_per_seed(self) -> float | None:
        """The mean time of one training."""
        return sum(self.train_seconds) / len(self.train_seconds) if self.train_seconds else None


class BaselineRow(Scores, Subject):
    """A baseline under one protocol."""

    seconds: float  # of training and prediction

    @property
    def seconds_per_seed(self) -> float:
        """The time of its one training."""
        return self.seconds


class Difference(Record):
    """Model a minus model b on the same faces."""

    age_mae: Estimate
    gender_accuracy: Estimate
    score: Estimate


class Pair(Difference):
    """Two models, by label, and their difference."""

    a: str
    b: str
    protocol: str
    part: str
    num_faces: int


class RegionWeight(Record):
    """What a region of the face weighs, a mean over faces; shares over all regions sum to one."""

    region: str
    area_share: float | None
    age_share: float | None
    gender_share: float | None
    age_years: float | None
    gender_probability: float | None
    age_range: tuple[float, float] | None = None  # of the share, 10th and 90th of 100 faces
    gender_range: tuple[float, float] | None = None


class ExplainedFace(Record):
    """A face that was explained: its labels, and what the model says, a mean over seeds."""

    file: str
    age: int
    gender: int
    age_years: float
    gender_probability: float


class Quantiles(Record):
    """The 50th, 10th and 90th percentile of the R² of LIME's fits."""

    median: float
    low: float
    high: float


class Fidelity(Record):
    """How well LIME's linear fits follow the model."""

    age_r2: Quantiles
    gender_r2: Quantiles


class Explanation(Record):
    """What a model looks at, by LIME, on faces drawn at random."""

    regions: list[RegionWeight]
    fidelity: Fidelity
    num_ordinary: int
    num_samples: int
    seed: int
    seconds: float


class Evaluator(Record):
    """What evaluated, perhaps later and by other code than what trained."""

    command: str
    commit: str | None = None
    versions: Mapping[str, str | None] = {}


class Evaluation(Record):
    """The content of ``evaluation.json``."""

    name: str
    created: str
    command: str
    commit: str | None
    versions: Mapping[str, str | None] = {}
    hardware: SharedHardware = SharedHardware()
    search: str | None = None
    search_split: str | None = None  # the protocol by which it split its faces
    weights: str | None = None  # what the shown backbone began with; None in older files
    data: DataFacts
    wall_s: float | None = None
    evaluated_by: Evaluator | None = None
    image_size: int
    epochs: int
    flip: bool
    rows: list[Row]
    baselines: list[BaselineRow] = []
    paired: list[Pair] = []
    explanations: Explanation | None = None
    leak: dict[str, int] = {}  # by protocol: judged faces with a copy among the training faces
    seconds: dict[str, float] = {}

    @field_validator("explanations", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: object) -> object:
        return value or None  # older files have {} where LIME was switched off

    def to_text(self) -> str:
        """Return JSON, numbers to five digits, each row on a line of its own."""
        fields = []
        for name, value in _rounded(self.model_dump(exclude_unset=True)).items():
            text = _dump(value)
            if isinstance(value, list) and value:
                text = "[\n" + ",\n".join(map(_dump, value)) + "\n]"
            fields.append(f"{json.dumps(name)}: {text}")
        return "{\n" + ",\n".join(fields) + "\n}\n"


def read_evaluation(path: Path) -> Evaluation:
    """Read ``evaluation.json``; raises `UserError` with the field that is wrong."""
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise UserError(
            f"{path} is damaged or older than can be read, {what_is_wrong(error)}; evaluate again "
            f"with `python tune/retrain_best.py --resume {path.parent}`"
        ) from error


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _rounded(value: Any) -> Any:
    """Return a value with every number with decimals in it rounded, but for settings."""
    if isinstance(value, Mapping):
        return {k: v if k in _EXACT else _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
