"""What a search knows about one trial, as plain data.

The Optuna study on disk is the truth; a `TrialRecord` is a read-only view of one of its trials
that the report, the tables and the screen share.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


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


class Lead(BaseModel):
    """By how much lower the winner's score is than another's, with its 95 % interval."""

    over: int  # the other trial's number
    score: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval is clear of zero."""
        return self.low > 0


class Confirmed(BaseModel):
    """A trial that was trained again: means over all its seeds, on the validation faces."""

    trial: int
    is_starting_point: bool
    seeds: list[int]  # the search's own first, if the trial was complete there
    values: dict[str, float]  # of each objective
    score: float
    age_mae: float
    gender_accuracy: float


class Confirmation(BaseModel):
    """What training again showed: the trials, best first, and the first one's leads."""

    trials: list[Confirmed]
    leads: list[Lead]

    @property
    def winner(self) -> Confirmed:
        """The trial with the best mean over its seeds."""
        return self.trials[0]

    def sentence(self) -> str:
        """Say what may be claimed, in one sentence or two."""
        by_trial = {lead.over: lead for lead in self.leads}
        others = self.trials[1:]
        start = next((trial for trial in self.trials if trial.is_starting_point), None)
        if start is not None and start.trial == self.winner.trial:
            text = f"trial {start.trial}, a starting point of the space, is the best that was found"
            return text + "".join(f"; it leads {_lead(by_trial[o.trial])}" for o in others[:1])
        parts = []
        if others and others[0] is not start:
            parts.append(f"the runner-up, {_lead(by_trial[others[0].trial])}")
        if start is not None:
            parts.append(f"the starting point, {_lead(by_trial[start.trial])}")
        text = f"trial {self.winner.trial} leads " + ", and ".join(parts) if parts else ""
        if start is not None and not by_trial[start.trial].is_clear:
            text += ": no better than the starting point, as far as these faces and seeds tell"
        return text or f"trial {self.winner.trial} is the only one that could be confirmed"


def _lead(lead: Lead) -> str:
    return f"trial {lead.over}, by {lead.score:.3f} in score ({lead.low:.3f} to {lead.high:.3f})"
