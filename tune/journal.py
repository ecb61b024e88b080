"""The study's journal on disk: whole after a crash, a full disk or a file cut short.

Optuna appends one line per operation. It has no answer to half a line: it appends the next one to
it and from then on refuses the whole file. And one file is easily damaged. So half a line is cut
off when a journal is opened, nothing is written any more once a write has failed, and every line
is kept in a second file too, from which the first is restored if it has lost any.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from tune.disk import cannot_write
from utkface.io import UserError, replacing

#: Beside a run's files: second copies of those that nothing else could be rebuilt from.
BACKUP = "backup"


class TwinJournal(JournalFileBackend):
    """A journal file and its copy under ``backup/``, which is the same or a few lines behind.

    To be opened by the holder of the run folder's lock. Raises `UserError` where both files are
    damaged, and where a line cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._copy = path, path.parent / BACKUP / path.name
        self._failure: OSError | None = None
        _mend(self._path, self._copy)
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations to the disk, all or none of which a later session will find."""
        if self._failure is None:
            try:
                super().append_logs(logs)
                self._catch_up()
            except OSError as error:
                # The file may end in half a line now, to which nothing must be added.
                self._failure = error
        if self._failure is not None:
            raise cannot_write(self._path, self._failure, self._path.parent.name)

    def _catch_up(self) -> None:
        # From the file and not from `logs`: optuna-dashboard may have written to it as well.
        with self._path.open("rb") as source, self._copy.open("ab") as target:
            source.seek(target.tell())
            shutil.copyfileobj(source, target)


def _mend(path: Path, copy: Path) -> None:
    """Make both files whole: the better one without half a line at its end."""
    for lock in path.parent.glob(f"{path.name}.lock*"):  # of a writer that was killed
        lock.unlink()
    contents = [_whole_lines(file) for file in (path, copy)]
    best = max(contents, key=_num_good_lines)  # the first of equals
    num_good, num_lines = _num_good_lines(best), best.count(b"\n")
    if num_good < num_lines:
        raise UserError(
            f"{path} is damaged: line {num_good + 1} of {num_lines} is no entry of a study, and "
            f"its copy {copy} is no better; cut both off before that line to go on from there"
        )
    copy.parent.mkdir(parents=True, exist_ok=True)
    for file in (path, copy):
        if not file.exists() or file.read_bytes() != best:
            with replacing(file) as temporary:
                temporary.write_bytes(best)
                _flush(temporary)


def _whole_lines(path: Path) -> bytes:
    """Return a file's content without the line that a killed process wrote only in part."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _num_good_lines(content: bytes) -> int:
    """Return how many lines from the beginning are entries of a journal."""
    lines = content.split(b"\n")[:-1]
    for number, line in enumerate(lines):
        try:
            json.loads(line)
        except ValueError:
            return number
    return len(lines)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
