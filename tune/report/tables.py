"""Trial records as tables: for `trials.csv` and for the report."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tune.records import TrialRecord
from tune.report.analysis import curve, last_metrics, seconds_between, split_differing
from utkface.evaluation.report.text import show

#: Metrics of the last epoch that a table shows beside the score, which is of the same epoch.
METRICS = ("age_mae", "gender_accuracy", "gender_log_loss", "worst_group_mae", "train_loss")


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


def text_rows(table: pd.DataFrame) -> list[list[str]]:
    """Return a table's cells as texts, row by row."""
    cells = table.astype(object).where(table.notna(), None)
    return [[show(value) for value in row] for row in cells.itertuples(index=False)]


def _outcome(record: TrialRecord) -> dict[str, Any]:
    """Return the columns that say how a trial went."""
    metrics = last_metrics(record)
    scores = [(score, epoch) for epoch, score in zip(*curve(record), strict=True)]
    best_score, best_epoch = min((s for s in scores if math.isfinite(s[0])), default=(None, None))
    seconds = seconds_between(record.started, record.ended)
    return {
        "number": record.number,
        "state": record.state,
        "score": record.score,
        **{name: metrics.get(name) for name in METRICS},
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
