"""Trials as typed data: how each went, which are best, what differs, and all as a table.

The Optuna study on disk is the truth; a `TrialRecord` is a read-only view of one of its trials.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tune.spaces.objectives import SCORE, Metrics, Settings

if TYPE_CHECKING:
    import pandas as pd

#: States in the order in which people ask for them, and how they are called on screens and pages.
STATES = {
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "unfinished",
}
#: In the place of "stopped early" for a trial that `TrialRecord.diverged`.
DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial: its configuration, its curve and how it ended."""

    number: int
    state: str  # COMPLETE, PRUNED (stopped early), FAIL, RUNNING (unfinished): Optuna's names
    score: float | None  # the last one reported; lower is better
    params: Settings  # what the search space suggested
    config: Settings  # the whole `TrainConfig`
    epochs: list[Metrics]  # the metrics of each finished epoch, in order
    reason: str | None = None  # why a FAIL failed, or how a PRUNED diverged
    started: str | None = None  # ISO 8601, local time
    ended: str | None = None
    is_starting_point: bool = False  # one of the space's own, tried first

    @property
    def diverged(self) -> bool:
        """Whether the trial was ended because its loss or its predictions were not finite."""
        return self.state == "PRUNED" and self.reason is not None

    @property
    def ending(self) -> str:
        """How it ended, as people say it."""
        return DIVERGED if self.diverged else STATES[self.state]


def count_endings(records: Iterable[TrialRecord]) -> dict[str, int]:
    """Return how many trials ended in which way, those ways that nobody took left out."""
    counts = Counter(record.ending for record in records)
    return {words: counts[words] for words in [*STATES.values(), DIVERGED] if counts[words]}


def last_metrics(record: TrialRecord) -> Metrics:
    """Return the metrics of a trial's last epoch, nothing for a trial without one."""
    return record.epochs[-1] if record.epochs else {}


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
    values = [objective_values(record, objectives) for record in complete]

    def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    front = [
        record
        for record, own in zip(complete, values, strict=True)
        if not any(dominates(other, own) for other in values)
    ]
    return sorted(front, key=lambda record: (record.score, record.number))


#: Metrics of the last epoch that a table shows beside the score, which is of the same epoch.
METRIC_COLUMNS = (
    "smooth_score", "age_mae", "gender_accuracy", "gender_log_loss", "worst_group_mae",
    "train_loss",
)  # fmt: skip


def seconds_between(start: str | None, end: str | None) -> float:
    """Return the seconds from one ISO time to another, NaN where one is missing or unreadable.

    And where the end comes before the start: the clock was set back, and nobody knows by how much.
    """
    try:
        # A time without a zone is local; astimezone() makes both comparable.
        first = datetime.fromisoformat(start or "").astimezone()
        seconds = (datetime.fromisoformat(end or "").astimezone() - first).total_seconds()
        return seconds if seconds >= 0 else math.nan
    except ValueError:
        return math.nan


def split_differing(
    configs: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Split fields into those that differ (all their values) and those that all share (one value).

    A field that a configuration lacks counts as None.
    """
    differing: dict[str, list[Any]] = {}
    common: dict[str, Any] = {}
    for name in dict.fromkeys(name for config in configs for name in config):
        values = [config.get(name) for config in configs]
        if all(_same(value, values[0]) for value in values):
            common[name] = values[0]
        else:
            differing[name] = values
    return differing, common


def _same(first: Any, second: Any) -> bool:
    # True == 1 in Python, and NaN is not itself: neither is what a reader of a table means.
    both_nan = first != first and second != second
    same_kind = isinstance(first, bool) == isinstance(second, bool)
    return same_kind and bool(first == second or both_nan)


def trials_table(records: Sequence[TrialRecord]) -> "pd.DataFrame":
    """Return one row per trial, by number: how it went, and every setting that varied.

    Score and metrics are those of the last epoch; `best_epoch` and `best_epoch_score` say where
    the trial stood best. Then come the configuration fields that differ between trials without
    being suggested (those that a starting point sets), then the suggested parameters, empty where
    a trial's space had no such parameter.
    """
    records = sorted(records, key=lambda record: record.number)
    params = list(dict.fromkeys(name for record in records for name in record.params))
    varying, _ = split_differing([record.config for record in records if record.config])
    settings = [name for name in varying if name not in params]
    rows = [
        {
            **_outcome(record),
            **{name: record.config.get(name) for name in settings},
            **{name: record.params.get(name) for name in params},
        }
        for record in records
    ]
    columns = [*_outcome(_EMPTY), *settings, *params]
    import pandas as pd  # slow, and whoever only reads records writes no table

    table = pd.DataFrame(rows, columns=columns)
    for name in columns:
        values = [row[name] for row in rows if row[name] is not None]
        if values and all(type(value) is int for value in values):
            table[name] = table[name].astype("Int64")  # 64 stays 64 beside an empty cell
    return table


def _outcome(record: TrialRecord) -> dict[str, Any]:
    """Return the columns that say how a trial went."""
    metrics = last_metrics(record)
    finite = [
        (row["score"], row["epoch"])
        for row in record.epochs
        if row.get("score") is not None and math.isfinite(row["score"])
    ]
    best_score, best_epoch = min(finite, default=(None, None))
    seconds = seconds_between(record.started, record.ended)
    return {
        "number": record.number,
        "state": record.state,
        "score": record.score,
        **{name: metrics.get(name) for name in METRIC_COLUMNS},
        "epochs": len(record.epochs),
        "best_epoch": best_epoch,
        "best_epoch_score": best_score,
        "started": record.started,
        "ended": record.ended,
        "seconds": None if math.isnan(seconds) else seconds,
        "reason": record.reason,
    }


_EMPTY = TrialRecord(number=0, state="RUNNING", score=None, params={}, config={}, epochs=[])
