"""What a search knows about one trial, as plain data.

The Optuna study on disk is the truth; a `TrialRecord` is a read-only view of one of its trials
that the report, the tables and the screen share.
"""

from collections.abc import Sequence
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
    reason: str | None  # why a FAIL failed
    started: str | None  # ISO 8601, local time
    ended: str | None


def rank_complete(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that had the full budget, best first; no other can be called best."""
    complete = [record for record in records if record.state == "COMPLETE"]
    return sorted(complete, key=lambda record: (record.score, record.number))
