"""Searches of the past, read without touching them: their trials, and under what conditions.

The journal of a search is the truth and is read where it is there. In a checkout it is not, since
only a search's small summaries are kept; ``trials.csv`` and ``best.json`` say less, but enough.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tune.records.retrain import Best, BestRecord
from tune.records.run_folder import SearchFolder
from tune.records.search import SearchRecord
from tune.records.trials import METRIC_COLUMNS, TrialRecord
from tune.study.store import SEARCH_STUDY, load_study, study_records
from utkface.io import UserError


@dataclass(frozen=True)
class PastRun:
    """A search as it stood when it was read.

    Without a journal, a record has the metrics of its last epoch alone, and a configuration only
    where its trial was a finalist.
    """

    name: str
    search: SearchRecord
    records: list[TrialRecord]


def read_run(results: Path, name: str) -> PastRun:
    """Read a search, which may be running, by path or by its name under ``results``.

    Raises `UserError` where it is not there or cannot be read.
    """
    folder = SearchFolder.find(results, name)
    search = folder.record
    try:
        has_journal = folder.journal.is_file()
        records = read_study(folder.journal) if has_journal else _read_tables(folder.path)
    except Exception as error:  # a damaged file surfaces as whatever its parser trips over
        raise UserError(
            f"the search {folder.path} cannot be read ({type(error).__name__}: {error}); "
            "was it copied whole?"
        ) from error
    return PastRun(folder.path.name, search, records)


def read_study(journal: Path, kind: str = SEARCH_STUDY) -> list[TrialRecord]:
    """Read the trials of one of a journal's studies, which may be being written."""
    study = load_study(journal, kind)
    return study_records(study) if study else []


def _read_tables(folder: Path) -> list[TrialRecord]:
    table = pd.read_csv(folder / "trials.csv")
    finalists = {}
    if (folder / "best.json").is_file():
        best = BestRecord.read(folder / "best.json")
        finalists = {entry.trial: entry for entry in best.finalists}
    rows = table.astype(object).where(table.notna(), None).to_dict("index")
    return [_from_row(row, finalists.get(row["number"])) for row in rows.values()]


def _from_row(row: Mapping[Hashable, Any], finalist: Best | None) -> TrialRecord:
    metrics = {name: row.get(name) for name in METRIC_COLUMNS}
    last = {"epoch": row["epochs"], "score": row["score"], **metrics}
    if finalist:
        last = {name: value for name, value in finalist.metrics.items() if value is not None}
    has_epoch = row["score"] is not None and math.isfinite(row["score"])
    return TrialRecord(
        number=row["number"],
        state=row["state"],
        score=row["score"],
        params={},
        config=dict(finalist.config) if finalist else {},
        epochs=[last] if has_epoch else [],
        reason=row.get("reason"),
        started=row.get("started"),
        ended=row.get("ended"),
    )
