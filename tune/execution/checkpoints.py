"""Where the trials of a search keep their latest state: one file each, on any file system.

A trial writes its state after each epoch and before it reports that epoch, and looks for it
whenever it starts. So one mechanism serves a worker that died, a node that went away and a driver
that was killed: whoever starts the trial again, wherever, finds what was done.
"""

import contextlib
import io
import re
import zipfile
from pathlib import Path
from typing import Self

import numpy as np
from pyarrow import fs

from tune.cluster.storage import check_storage, join_uri, open_storage
from utkface.io import UserError, dump_checkpoint, parse_checkpoint
from utkface.model import Predictions

#: Within a store, by a trial's number: its state, and what it predicts for the validation faces.
_STATE, _PREDICTIONS = "trial_{:04d}.pt", "predictions/trial_{:04d}.npz"


class CheckpointStore:
    """Checkpoints of a search's trials under ``uri``, as in `open_storage`.

    The instance travels to the workers: it holds nothing but the address.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    @classmethod
    def of_run(cls, storage: str | None, run_folder: Path, name: str) -> Self:
        """Return a run's own store: under ``storage``, which runs share, or in its folder.

        ``name`` is the run's first one: its folder may have been renamed since.
        """
        if storage is None:
            return cls(str(run_folder / "checkpoints"))
        return cls(join_uri(storage, name))

    def check(self) -> None:
        """Write, read and delete a small file; raises `UserError` where that is not possible."""
        check_storage(self.uri)

    def save(self, number: int, state: dict) -> None:
        """Replace a trial's checkpoint; the old one stands until the new one is whole."""
        self._write(_STATE.format(number), dump_checkpoint(state))

    def load(self, number: int) -> dict | None:
        """Return a trial's latest state, or None where there is none."""
        name = _STATE.format(number)
        content = self._read(name)
        return None if content is None else parse_checkpoint(content, name)

    def save_predictions(self, number: int, predictions: Predictions) -> None:
        """Replace what a trial's last epoch predicts for the validation faces."""
        buffer = io.BytesIO()
        np.savez(buffer, **predictions._asdict())
        self._write(_PREDICTIONS.format(number), buffer.getvalue())

    def load_predictions(self, number: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return ages (N,) in years and probabilities (N,) of being female of a trial's last epoch.

        None where there are none, or the file is damaged; raises `UserError` where the storage does
        not answer.
        """
        try:
            content = self._read(_PREDICTIONS.format(number))
        except OSError as error:
            raise UserError(
                f"cannot read predictions from {self.uri} ({error}); "
                "when it answers again, go on with --resume"
            ) from error
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return arrays["age_years"], arrays["gender_probability"]
        except (EOFError, KeyError, ValueError, zipfile.BadZipFile):
            return None

    def keep_only(self, numbers: set[int], with_predictions: set[int]) -> None:
        """Delete all checkpoints and predictions, half-written ones too, but of these trials."""
        filesystem, folder = open_storage(self.uri)
        for place, kept in ((folder, numbers), (f"{folder}/predictions", with_predictions)):
            for info in filesystem.get_file_info(fs.FileSelector(place, allow_not_found=True)):
                match = re.match(r"trial_(\d+)\.", info.base_name)
                if match and int(match[1]) not in kept:
                    filesystem.delete_file(info.path)

    def sizes(self) -> dict[int, int]:
        """Return the bytes of each trial's checkpoint, by the trial's number."""
        filesystem, folder = open_storage(self.uri)
        found = {}
        for info in filesystem.get_file_info(fs.FileSelector(folder)):
            if match := re.fullmatch(r"trial_(\d+)\.pt", info.base_name):
                found[int(match[1])] = info.size
        return found

    def _write(self, name: str, content: bytes) -> None:
        """Replace a file, whole or not at all."""
        filesystem, folder = open_storage(self.uri)
        path = f"{folder}/{name}"
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        try:
            with filesystem.open_output_stream(f"{path}.tmp") as stream:
                stream.write(content)
            filesystem.move(f"{path}.tmp", path)
        except OSError:  # a full disk: the study, small as it is, may need what is left
            with contextlib.suppress(OSError):
                filesystem.delete_file(f"{path}.tmp")
            raise

    def _read(self, name: str) -> bytes | None:
        filesystem, folder = open_storage(self.uri)
        path = f"{folder}/{name}"
        if filesystem.get_file_info(path).type == fs.FileType.NotFound:
            return None
        with filesystem.open_input_stream(path) as stream:
            return stream.read()
