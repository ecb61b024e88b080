"""Trial records as tables: for `trials.csv` and for the report."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tune.records import TrialRecord
from tune.report.analysis import (
    curve,
    last_metrics,
    number,
    seconds_between,
    split_differing,
)

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


def show(value: Any) -> str:
    """Return a value as a person would write it: four significant digits, a dash for nothing."""
    if value is None or value is pd.NA:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value)) or "–"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < 1e7
        return f"{value:.0f}" if is_whole else f"{value:.4g}"  # 10000 rather than 1e+04
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def show_fixed(value: Any, digits: int) -> str:
    """Return a number with fixed digits, so that a column of them lines up; a dash for none."""
    return f"{number(value):.{digits}f}".replace("-", "−") if math.isfinite(number(value)) else "–"


def show_percent(value: Any) -> str:
    """Return a share of one as a percentage with one digit."""
    share = number(value)
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"


def show_duration(seconds: Any) -> str:
    """Return seconds as '2 h 05 min', '3 min 20 s' or '12 s'."""
    if not math.isfinite(number(seconds)):
        return "–"
    whole = round(number(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"
