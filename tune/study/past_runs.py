"""Searches of the past, read without touching them: their trials, and under what conditions.

The journal of a search is the truth and is read where it is there. In a checkout it is not, since
only a search's small summaries are kept; ``trials.csv`` and ``best.json`` say less, but enough.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from tune.records.run_folder import RunFolder
from tune.records.search import Conditions
from tune.records.trials import METRIC_COLUMNS, TrialRecord
from tune.study.journal import read_storage
from tune.study.store import SEARCH_STUDY, study_name, study_records
from utkface.io import UserError


@dataclass(frozen=True)
class PastRun:
    """A search as it stood when it was read.

    Without a journal, a record has the metrics of its last epoch alone, and a configuration only
    where its trial was a finalist.
    """

    name: str
    search: dict[str, Any]  # the content of search.json
    records: list[TrialRecord]


def read_run(results: Path, name: str) -> PastRun:
    """Read a search, which may be running, by path or by its name under ``results``.

    Raises `UserError` where it is not there or cannot be read.
    """
    folder = RunFolder.find(results, name)
    search = folder.record
    try:
        if folder.journal.is_file():
            records = _read_journal(folder.journal)
        else:
            records = _read_tables(folder.path)
        # A defect in what every reader needs is to be told here, once.
        _ = search["data"]["fingerprint"], search["max_epochs"], search["created"]
    except Exception as error:  # a damaged file surfaces as whatever its parser trips over
        raise UserError(
            f"the search {folder.path} cannot be read ({type(error).__name__}: {error}); "
            "was it copied whole?"
        ) from error
    return PastRun(folder.path.name, search, records)


def list_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name what keeps the scores of two searches from being comparable: nothing, if they are.

    Both are contents of ``search.json``. A difference is told as "epochs: 8 and 12".
    """
    return Conditions.of(one).differences(Conditions.of(other))


def _read_journal(journal: Path) -> list[TrialRecord]:
    storage = read_storage(journal)
    name = study_name(storage, SEARCH_STUDY)
    if name is None:  # killed before its study was on disk
        return []
    return study_records(optuna.load_study(study_name=name, storage=storage))


def _read_tables(folder: Path) -> list[TrialRecord]:
    table = pd.read_csv(folder / "trials.csv")
    finalists = {}
    if (folder / "best.json").is_file():
        best = json.loads((folder / "best.json").read_text())
        finalists = {entry["trial"]: entry for entry in best["finalists"]}
    rows = table.astype(object).where(table.notna(), None).to_dict("index")
    return [_from_row(row, finalists.get(row["number"])) for row in rows.values()]


def _from_row(row: Mapping[Any, Any], finalist: Mapping[str, Any] | None) -> TrialRecord:
    metrics = {name: row.get(name) for name in METRIC_COLUMNS}
    last = {"epoch": row["epochs"], "score": row["score"], **metrics}
    has_epoch = row["score"] is not None and math.isfinite(row["score"])
    return TrialRecord(
        number=row["number"],
        state=row["state"],
        score=row["score"],
        params={},
        config=dict(finalist["config"]) if finalist else {},
        epochs=[dict(finalist["metrics"]) if finalist else last] if has_epoch else [],
        reason=row.get("reason"),
        started=row.get("started"),
        ended=row.get("ended"),
    )
