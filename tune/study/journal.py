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
from collections.abc import Iterable, Iterator
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


def open_storage(journal: "TwinJournal") -> JournalStorage:
    """Replay a journal to go on with."""
    return _replay(journal, journal.path)


def read_storage(path: Path) -> JournalStorage:
    """Read a journal, mended by its copy in memory alone: its search may be writing to it.

    Raises `UserError` where both files are damaged at one place.
    """
    lines, _ = _read_both(path)
    return _replay(_LinesInMemory(lines), path)


def _replay(backend: BaseJournalBackend, path: Path) -> JournalStorage:
    try:
        return JournalStorage(backend)
    except Exception as error:  # whatever Optuna trips over, in lines that have no checksum
        raise UserError(
            f"{path} is damaged: Optuna cannot replay it ({type(error).__name__}: {error}); "
            "put back a copy of the run folder that is whole"
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
        self._size = len(content)
        for file in (self.path, self._copy):
            if not file.exists() or file.read_bytes() != content:
                with replacing(file) as temporary:
                    temporary.write_bytes(content)
                    _flush(temporary)
        self._failure: OSError | None = None
        self._flushes_later = False
        self._lock = JournalFileSymlinkLock(str(path))  # optuna-dashboard takes it, too
        self._file = JournalFileBackend(str(path), self._lock)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the operations from this one on, by whomever."""
        return self._file.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations to the disk, all or none of which a later session will find."""
        with self._unless_failed():
            self._append([json.dumps(log, separators=(",", ":")).encode() for log in logs])
            if not self._flushes_later:
                _flush(self.path)

    @contextlib.contextmanager
    def flushing_once(self) -> Iterator[None]:
        """Flush what is appended meanwhile at the end: a flush takes milliseconds."""
        if self._flushes_later:
            yield
            return
        size, self._flushes_later = self._size, True
        try:
            yield
        finally:
            self._flushes_later = False
            if self._size > size:
                with self._unless_failed():
                    _flush(self.path)

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
                lines, last = _add_checksums(logs, _checksum_of_all(others, self._last))
                file.write(_join(lines))
                file.flush()
                copy.write(_join([*others, *lines]))
                self._size, self._last = file.tell(), last
        finally:
            self._lock.release()


class _LinesInMemory(BaseJournalBackend):
    """Lines that are only read."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return map(json.loads, self._lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> NoReturn:
        raise NotImplementedError("this journal was opened to be read")


class _DamageError(Exception):
    """No file has what follows the ``num_lines`` first lines, and there is more."""

    def __init__(self, num_lines: int) -> None:
        self.num_lines = num_lines


class _Content:
    """What one of the files holds."""

    def __init__(self, content: bytes) -> None:
        # CRLF comes from an editor or from git. JSON has neither character but as a line's end.
        self.lines = content.replace(b"\r\n", b"\n").split(b"\n")
        self.links = [_link(line) for line in self.lines]
        if self.links[-1] is None:  # nothing, or what a killed process wrote of its last line
            del self.lines[-1], self.links[-1]
        self._after = {_START: 0}
        for index, link in enumerate(self.links):
            if link is not None:
                self._after[link[0]] = index + 1

    def unchecked_after(self, checksum: bytes) -> Iterator[bytes]:
        """Yield the lines after the one with this checksum that have none of their own."""
        start = self._after.get(checksum, len(self.lines))
        for index in range(start, len(self.lines)):
            if self.links[index] is None:
                yield self.lines[index]


def _read_both(path: Path) -> tuple[list[bytes], bytes]:
    """Return the lines of a journal, each from the file that has it whole, and their checksum."""
    contents = [_read(path), _read(_copy_of(path))]
    try:
        return _merge([_Content(content) for content in dict.fromkeys(contents)])
    except _DamageError as damage:
        raise UserError(
            f"{path} is damaged: line {damage.num_lines + 1} of {contents[0].count(10)} cannot be "
            f"restored from its copy {_copy_of(path)}, which is damaged as well or of another "
            "study; delete the wrong file, or cut both off before that line to go on from there"
        ) from None


def _merge(contents: list[_Content]) -> tuple[list[bytes], bytes]:
    """Link up the lines of one or two files; raises `_DamageError` where one is missing in all."""
    checked: dict[bytes, bytes] = {}  # by checksum
    followers: dict[bytes, bytes] = {}  # the checksum of the line that follows, by checksum
    for content in contents:
        for line, link in zip(content.lines, content.links, strict=True):
            if link is not None:
                checked[link[0]] = line
                followers.setdefault(link[1], link[0])
    lines: list[bytes] = []
    last = _START
    while checked:
        if last in followers:
            last = followers.pop(last)
            lines.append(checked.pop(last))
            continue
        bridges = (_bridge(content.unchecked_after(last), last, followers) for content in contents)
        bridge = next(filter(None, bridges), None)
        if bridge is None:
            raise _DamageError(len(lines))
        lines += bridge
        last = _checksum_of_all(bridge, last)
    # Nothing vouches for the lines at the end: they must be entries, and the files must agree.
    num_checked = len(lines)
    for versions in itertools.zip_longest(*(c.unchecked_after(last) for c in contents)):
        entries = {line for line in versions if line is not None and _is_entry(line)}
        if len(entries) != 1:
            raise _DamageError(len(lines))
        lines += entries
    return lines, _checksum_of_all(lines[num_checked:], last)


def _bridge(lines: Iterable[bytes], last: bytes, followers: dict[bytes, bytes]) -> list[bytes]:
    """Return the lines without a checksum up to one that a line with a checksum follows."""
    bridge = []
    for line in lines:
        bridge.append(line)
        last = _checksum(line, last)
        if last in followers:
            return bridge
    return []


def _is_entry(line: bytes) -> bool:
    """Say whether a line may be Optuna's own. A damaged one of ours does not begin as those do."""
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and next(iter(entry), None) == "op_code"


def _link(line: bytes) -> tuple[bytes, bytes] | None:
    """Return a line's checksum and the one it follows; None where it is not true to them."""
    match = _CHECKED.fullmatch(line)
    if match and _checksum(b"{" + match[3], match[2]) == match[1]:
        return match[1], match[2]
    return None


def _checksum(log: bytes, follows: bytes) -> bytes:
    """Return the checksum of a line, as Optuna writes it, that follows the one with another."""
    return hashlib.blake2b(follows + log, digest_size=8).hexdigest().encode()


def _add_checksums(logs: Iterable[bytes], last: bytes) -> tuple[list[bytes], bytes]:
    """Return lines with their checksums, and the last of these; undone by `_link`."""
    lines = []
    for log in logs:
        checksum = _checksum(log, last)
        lines.append(b'{"checksum":"%b","follows":"%b",%b' % (checksum, last, log[1:]))
        last = checksum
    return lines, last


def _checksum_of_all(lines: Iterable[bytes], last: bytes) -> bytes:
    """Return the checksum of the last of some lines that follow the one with another.

    Those of another `TwinJournal`, which nobody may open beside this one, have theirs.
    """
    for line in lines:
        link = _link(line)
        last = link[0] if link and link[1] == last else _checksum(line, last)
    return last


def _join(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _copy_of(path: Path) -> Path:
    return path.parent / BACKUP / path.name


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
