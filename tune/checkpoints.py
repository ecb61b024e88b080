"""Where the trials of a search keep their latest state: one file each, on any file system.

A trial writes its state after each epoch and before it reports that epoch, and looks for it
whenever it starts. So one mechanism serves a worker that died, a node that went away and a driver
that was killed: whoever starts the trial again, wherever, finds what was done.
"""

import contextlib
import re
from pathlib import Path
from typing import Self

from pyarrow import fs

from utkface import checkpoint
from utkface.errors import UserError


class CheckpointStore:
    """Checkpoints of a search's trials under ``uri``, as in `open_storage`.

    The instance travels to the workers: it holds nothing but the address.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    @classmethod
    def of_run(cls, storage: str | None, run_folder: Path) -> Self:
        """Return a run's own store: under ``storage``, which runs share, or in its folder."""
        if storage is None:
            return cls(str(run_folder / "checkpoints"))
        return cls(f"{storage.rstrip('/')}/{run_folder.name}")

    def check(self) -> None:
        """Write, read and delete a small file; raises `UserError` where that is not possible."""
        try:
            filesystem, folder = self._open()
            name = f"{folder}/.probe"
            with filesystem.open_output_stream(name) as stream:
                stream.write(b"probe")
            with filesystem.open_input_stream(name) as stream:
                assert stream.read() == b"probe"
            filesystem.delete_file(name)
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot write checkpoints to {self.uri!r} ({error}); give --storage a folder or a "
                "URI that every node can write to"
            ) from error

    def save(self, number: int, state: dict) -> None:
        """Replace a trial's checkpoint; the old one stands until the new one is whole."""
        filesystem, folder = self._open()
        name = self._name(folder, number)
        try:
            with filesystem.open_output_stream(f"{name}.tmp") as stream:
                stream.write(checkpoint.dump(state))
            filesystem.move(f"{name}.tmp", name)
        except OSError:  # a full disk: the study, small as it is, may need what is left
            with contextlib.suppress(OSError):
                filesystem.delete_file(f"{name}.tmp")
            raise

    def load(self, number: int) -> dict | None:
        """Return a trial's latest state, or None where there is none."""
        filesystem, folder = self._open()
        name = self._name(folder, number)
        if filesystem.get_file_info(name).type == fs.FileType.NotFound:
            return None
        with filesystem.open_input_stream(name) as stream:
            return checkpoint.parse(stream.read(), name)

    def keep_only(self, numbers: set[int]) -> None:
        """Delete the checkpoints, also half-written ones, of all trials but these."""
        filesystem, folder = self._open()
        for info in filesystem.get_file_info(fs.FileSelector(folder)):
            match = re.match(r"trial_(\d+)\.pt", info.base_name)
            if match and int(match[1]) not in numbers:
                filesystem.delete_file(info.path)

    def sizes(self) -> dict[int, int]:
        """Return the bytes of each trial's checkpoint, by the trial's number."""
        filesystem, folder = self._open()
        found = {}
        for info in filesystem.get_file_info(fs.FileSelector(folder)):
            if match := re.fullmatch(r"trial_(\d+)\.pt", info.base_name):
                found[int(match[1])] = info.size
        return found

    def _open(self) -> tuple[fs.FileSystem, str]:
        return open_storage(self.uri)

    @staticmethod
    def _name(folder: str, number: int) -> str:
        return f"{folder}/trial_{number:04d}.pt"


def open_storage(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an absolute path, a pyarrow or an fsspec URI, and the folder there.

    The folder is made. Raises ValueError for what is no such URI, OSError where it is out of reach.
    """
    try:
        filesystem, folder = fs.FileSystem.from_uri(uri)
    except ValueError:
        if "://" not in uri:
            raise
        filesystem, folder = fs.FileSystem.from_uri(f"fsspec+{uri}")
    filesystem.create_dir(folder, recursive=True)
    return filesystem, folder
