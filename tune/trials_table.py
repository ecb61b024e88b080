"""Trials side by side: what differs between them, and all of them as a table."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from tune.records import TrialRecord, last_metrics

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
    if isinstance(first, bool) != isinstance(second, bool):
        return False
    both_nan = first != first and second != second
    return bool(first == second or both_nan)


def trials_table(records: Sequence[TrialRecord]) -> pd.DataFrame:
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
    table = pd.DataFrame(rows, columns=columns)
    for name in columns:
        values = [row[name] for row in rows if row[name] is not None]
        if values and all(type(value) is int for value in values):
            table[name] = table[name].astype("Int64")  # 64 stays 64 beside an empty cell
    return table


def _outcome(record: TrialRecord) -> dict[str, Any]:
    """Return the columns that say how a trial went."""
    metrics = last_metrics(record)
    scores = [(row.get("score"), row.get("epoch", i)) for i, row in enumerate(record.epochs, 1)]
    known = [(score, epoch) for score, epoch in scores if score is not None]
    finite = [(score, epoch) for score, epoch in known if math.isfinite(score)]
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


_EMPTY = TrialRecord(
    number=0, state="RUNNING", score=None, params={}, config={}, epochs=[], reason=None,
    started=None, ended=None,
)  # fmt: skip
