"""The quality measures of earlier runs, one file per data and version of the measures.

A file holds one row per content of an image file (sha256), so that rows are found by what they were
measured on, whatever its name or place, and a run that was killed goes on with what it had saved.
An .npz carries checksums of its parts: a file cut short or altered is noticed as it is read.
"""

import hashlib
import inspect
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import PIL

from utkface.data import images
from utkface.evaluation import quality_brisque, quality_measures, quality_svr
from utkface.evaluation.quality_measures import QUALITY_COLUMNS
from utkface.io import replacing


def measures_version(image_size: int) -> str:
    """Name what the measures depend on beside the image files: code, trained model, decoder."""
    modules = (images, quality_measures, quality_brisque, quality_svr)
    parts = [inspect.getsource(module) for module in modules]
    parts += [quality_svr.load_regressor().digest, PIL.__version__, str(image_size)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class QualityCache:
    """The measures of the images of one set of faces, indexed by their sha256."""

    def __init__(self, folder: Path, fingerprint: str, version: str) -> None:
        self.path = folder / f"{fingerprint[:24]}-{version[:12]}.npz"
        self._key = f"{fingerprint} {version}"

    def read(self) -> pd.DataFrame:
        """Return what was saved; nothing if it is missing, torn, or of other data or version."""
        try:
            # A damaged archive shows itself by one of these, according to where the damage is.
            with np.load(self.path, allow_pickle=False) as saved:
                key, digests, values = str(saved["key"]), saved["sha256"], saved["values"]
        except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
            return self._frame(np.empty(0, dtype="S64"), np.empty((0, len(QUALITY_COLUMNS))))
        if key != self._key or values.shape != (len(digests), len(QUALITY_COLUMNS)):
            return self._frame(digests[:0], np.empty((0, len(QUALITY_COLUMNS))))
        return self._frame(digests, values)

    def write(self, measured: pd.DataFrame) -> None:
        """Replace the file; raises `UserError` when the disk is full or cannot be written."""
        digests = measured.index.to_numpy().astype("S64")
        with replacing(self.path) as temporary:
            np.savez(temporary, key=self._key, sha256=digests, values=measured.to_numpy())

    @staticmethod
    def _frame(digests: np.ndarray, values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=digests.astype(str), columns=list(QUALITY_COLUMNS))
