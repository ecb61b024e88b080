"""The study's journal on disk: whole after a crash, a full disk, a file cut short, flipped bytes.

Optuna appends a line of JSON per operation and believes whatever it reads. So each line is kept in
two files, and carries a checksum of itself and of the line before, whose checksum it names:

    {"checksum":"9f86d081884c7d65","follows":"2c26b46b68ffc68f","op_code":6,"worker_id":...}

Optuna ignores keys that it does not know: the file opens in optuna-dashboard like any other. Lines
without a checksum (optuna-dashboard's, and those of searches before there were checksums) have one
as well, which is computed: the next line that names it vouches for them. When a journal is opened,
the lines that are true to their checksums, of both files, are linked up again by what they follow.
"""

import contextlib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileBackend,
    JournalFileSymlinkLock,
    JournalStorage,
)

from tune.records.files import BACKUP, cannot_write
from utkface.io import UserError, replacing

_START = b"0" * 16  # what the first line follows
_CHECKED = re.compile(rb'\{"checksum":"([0-9a-f]{16})","follows":"([0-9a-f]{16})",(.+)')


def read_storage(path: Path) -> JournalStorage:
    """Read a journal, mended by its copy in memory alone: its search may be writing to it.

    Raises `UserError` where both files are damaged at one place.
    """
    return open_storage(_LinesInMemory(path))


def open_storage(journal: "TwinJournal | _LinesInMemory") -> JournalStorage:
    """Replay a journal to go on with."""
    try:
        return JournalStorage(journal)
    except Exception as error:  # whatever Optuna trips over, in lines that have no checksum
        raise UserError(
            f"{journal.path} is damaged: Optuna cannot replay it ({type(error).__name__}: "
            f"{error}); put back a copy of the run folder that is whole"
        ) from error


class TwinJournal(BaseJournalBackend):
    """A journal file and its copy under ``backup/``, to both of which every line is written.

    Opens and mends both, or begins them, for the holder of the run folder's lock. Raises
    `UserError` where they are damaged at one place, and later where a line cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._copy = path, _copy_of(path)
        for lock in path.parent.glob(f"{path.name}.lock*"):  # of a writer that was killed
            lock.unlink()
        lines, self._last = _read_both(path)
        content = _join(lines)
        self._size = self._flushed_size = len(content)
        for file in (self.path, self._copy):
            if not file.exists() or file.read_bytes() != content:
                with replacing(file) as temporary:
                    temporary.write_bytes(content)
                    _flush(temporary)
        self._failure: OSError | None = None
        self._lock = JournalFileSymlinkLock(str(path))  # optuna-dashboard takes it, too
        self._file = JournalFileBackend(str(path), self._lock)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the operations from this one on, by whomever."""
        return self._file.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations to both files, all or none of which a later session will find."""
        with self._unless_failed():
            self._append([json.dumps(log, separators=(",", ":")).encode() for log in logs])

    def flush(self) -> None:
        """Have the disk hold what was written; apart, as it takes milliseconds."""
        if self._size > self._flushed_size:
            with self._unless_failed():
                _flush(self.path)
            self._flushed_size = self._size

    @contextlib.contextmanager
    def _unless_failed(self) -> Iterator[None]:
        """Refuse all writing after a failure: the file may end in half a line since then."""
        if self._failure is None:
            try:
                yield
                return
            except OSError as error:
                self._failure = error
        raise cannot_write(self.path, self._failure, self.path.parent.name)

    def _append(self, logs: list[bytes]) -> None:
        self._lock.acquire()
        try:
            with self.path.open("a+b") as file, self._copy.open("ab") as copy:
                file.seek(self._size)
                *others, half = file.read().split(b"\n")  # by optuna-dashboard
                if half:  # it was killed
                    file.truncate(file.tell() - len(half))
                last = self._last
                for line in others:
                    # Those of another `TwinJournal`, which nobody may open beside this, have one.
                    link = _link(line)
                    last = link[0] if link and link[1] == last else _checksum(line, last)
                lines = []
                for log in logs:
                    follows, last = last, _checksum(log, last)
                    lines.append(b'{"checksum":"%b","follows":"%b",%b' % (last, follows, log[1:]))
                file.write(_join(lines))
                file.flush()
                copy.write(_join([*others, *lines]))
                self._size, self._last = file.tell(), last
        finally:
            self._lock.release()


class _LinesInMemory(BaseJournalBackend):
    """The lines of a journal, mended and only read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines, _ = _read_both(path)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return map(json.loads, self._lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> NoReturn:
        raise NotImplementedError("this journal was opened to be read")


def _read_both(path: Path) -> tuple[list[bytes], bytes]:
    """Return the lines of a journal, each from the file that has it whole, and their checksum."""
    contents = [_read(path), _read(_copy_of(path))]
    lines, last, is_whole = _merge([_parse(content) for content in dict.fromkeys(contents)])
    if not is_whole:
        raise UserError(
            f"{path} is damaged: line {len(lines) + 1} of {contents[0].count(10)} cannot be "
            f"restored from its copy {_copy_of(path)}, which is damaged as well or of another "
            "study; delete the wrong file, or cut both off before that line to go on from there"
        )
    return lines, last


#: A line's checksum and the one it follows; None where it has none that is true.
_Link = tuple[bytes, bytes] | None
_Lines = list[tuple[bytes, _Link]]


def _parse(content: bytes) -> _Lines:
    """Return the lines of a file, each with its link."""
    # CRLF comes from an editor or from git. JSON has neither character but as a line's end.
    lines = [(line, _link(line)) for line in content.replace(b"\r\n", b"\n").split(b"\n")]
    # The last is nothing, or what a killed process wrote of it, unless it lacks but its end.
    return lines if lines[-1][1] else lines[:-1]


def _merge(files: Sequence[_Lines]) -> tuple[list[bytes], bytes, bool]:
    """Link up the lines of one or two files, up to one that is missing in all.

    Return them, the last one's checksum, and whether these are all.
    """
    before: dict[bytes, tuple[bytes, bytes]] = {}  # by checksum: the one it follows, and the line
    checked: dict[bytes, None] = {}
    for file in files:
        last = _START
        for line, link in file:
            checksum, follows = link or (_checksum(line, last), last)
            before[checksum] = follows, line
            last = checksum
            if link:
                checked[checksum] = None
    # A line with a checksum vouches for all lines before it, back to one that is missing.
    after: dict[bytes, bytes] = {}
    for checksum in checked:
        while checksum in before and before[checksum][0] not in after:
            follows = before[checksum][0]
            after[follows] = checksum
            checksum = follows
    lines: list[bytes] = []
    last = _START
    while last in after:
        last = after[last]
        lines.append(before[last][1])
        checked.pop(last, None)
    if checked:
        return lines, last, False
    # Nothing vouches for the lines at the end: they must be entries, and the files must agree.
    for versions in itertools.zip_longest(*(_unchecked_after(file, last) for file in files)):
        entries = {line for line in versions if line is not None and _is_entry(line)}
        if len(entries) != 1:
            return lines, last, False
        lines += entries
        last = _checksum(lines[-1], last)
    return lines, last, True


def _unchecked_after(file: _Lines, checksum: bytes) -> list[bytes]:
    """Return the lines without a checksum that stand behind the one with this checksum."""
    after = [i + 1 for i, (_, link) in enumerate(file) if link and link[0] == checksum]
    start = max(after, default=0 if checksum == _START else len(file))
    return [line for line, link in file[start:] if link is None]


def _is_entry(line: bytes) -> bool:
    """Say whether a line may be Optuna's own. A damaged one of ours does not begin as those do."""
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and next(iter(entry), None) == "op_code"


def _link(line: bytes) -> _Link:
    match = _CHECKED.fullmatch(line)
    if match and _checksum(b"{" + match[3], match[2]) == match[1]:
        return match[1], match[2]
    return None


def _checksum(log: bytes, follows: bytes) -> bytes:
    """Return the checksum of a line, as Optuna writes it, that follows the one with another."""
    return hashlib.blake2b(follows + log, digest_size=8).hexdigest().encode()


def _join(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _copy_of(path: Path) -> Path:
    return path.parent / BACKUP / path.name


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
