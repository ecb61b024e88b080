"""What a search knows about one trial, as plain data.

The Optuna study on disk is the truth; a `TrialRecord` is a read-only view of one of its trials
that the report, the tables and the screen share.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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

    @property
    def diverged(self) -> bool:
        """Whether the trial was ended because its loss or its predictions were not finite."""
        return self.state == "PRUNED" and self.reason is not None


#: What is minimised unless a search says otherwise.
SCORE = ("score",)


def search_objectives(search: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a search minimises, from ``search.json``; older ones had the score alone."""
    return tuple(search.get("objectives") or SCORE)


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
    last = record.epochs[-1] if record.epochs else {}
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
