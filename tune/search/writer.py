"""Keeps a search's record and tables on the disk, and its page at the end."""

import contextlib
import time
from pathlib import Path

from tune.execution.reporting import Callback, RunStart
from tune.records.files import Status
from tune.records.provenance import now
from tune.records.run_folder import SearchFolder
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.report.page import write_report
from tune.study.study import SearchStudy
from utkface.io import UserError

#: Share of the driver's time that may go into rewriting the tables.
_WRITING_SHARE = 0.05


class RecordWriter(Callback):
    """Keeps ``search.json`` and the tables up to date, so that a search is readable at any time.

    Each rewriting takes longer the more trials there are, and with many workers a trial ends every
    moment. So the next one waits for twenty times as long as the last one took.
    """

    def __init__(self, folder: SearchFolder, search: SearchRecord, study: SearchStudy) -> None:
        self._folder, self._search, self._study = folder, search, study
        self._start_s = time.monotonic() - search.wall_s  # of earlier sessions
        self._next_write_s = 0.0

    def search_started(self, start: RunStart) -> None:
        """Write that the search is running."""
        self._folder.write_record(self._search)

    def trial_ended(self, record: TrialRecord) -> None:
        """Write the tables anew, unless that was done a moment ago."""
        began = time.monotonic()
        if began < self._next_write_s:
            return
        with contextlib.suppress(UserError):  # a full disk: the end of the search will tell
            self._write_record()
            self._folder.write_tables(self._study.records(), self._study.objectives)
        ended = time.monotonic()
        self._next_write_s = ended + (ended - began) / _WRITING_SHARE

    def finish(self, status: Status) -> Path:
        """Write everything that follows from the study; return the report's path."""
        self._search.status, self._search.ended = status, now()
        self._write_record()
        return write_results(self._folder, self._search, self._study)

    def _write_record(self) -> None:
        self._search.wall_s = round(time.monotonic() - self._start_s, 1)
        self._folder.write_record(self._search)


def write_results(folder: SearchFolder, search: SearchRecord, study: SearchStudy) -> Path:
    """Write the tables and the page of a search; return the page's path."""
    records = study.records()
    folder.write_tables(records, study.objectives, search.confirmation)
    return write_report(search, records, study.study, folder.path / "report.html")
