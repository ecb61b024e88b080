"""The trained regressor of BRISQUE, read as data from the PyPI package ``brisque``.

The package (Guha 2024, Apache-2.0) ships the support vectors and the features' ranges, but its code
needs libsvm, which has no wheel and so a compiler on every user's machine, and OpenCV. Only its two
data files are read here, and none of its code is imported.
"""

import functools
import hashlib
import importlib.metadata
import io
import pickle
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from utkface.io import UserError

NUM_FEATURES = 36
_PACKAGE = "brisque"


class QualityRegressor(NamedTuple):
    """An epsilon-SVR with an RBF kernel over features that are scaled to -1..1."""

    minima: NDArray[np.float64]  # (36,)
    maxima: NDArray[np.float64]  # (36,)
    support_vectors: NDArray[np.float64]  # (M, 36)
    coefficients: NDArray[np.float64]  # (M,)
    gamma: float
    rho: float
    digest: str  # of the files it came from

    def predict(self, features: NDArray[np.float64]) -> float:
        """Return the score of one image's features (36,); NaN where a feature is NaN."""
        scaled = 2 * (features - self.minima) / (self.maxima - self.minima) - 1
        distances = ((self.support_vectors - scaled) ** 2).sum(axis=1)
        return float(np.exp(-self.gamma * distances) @ self.coefficients - self.rho)


@functools.cache
def load_regressor() -> QualityRegressor:
    """Read the regressor from the installed package; raises `UserError` where there is none."""
    try:
        package = importlib.metadata.distribution(_PACKAGE)
        model = _data_file(package, "svm.txt").read_bytes()
        ranges = _data_file(package, "normalize.pickle").read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise UserError(
            f"cannot read the model of the package {_PACKAGE} ({error}); install this project's "
            f"dependencies again (uv sync), or: pip install --no-deps {_PACKAGE}==0.2.0"
        ) from error
    return _parse(model.decode(), ranges)


def _data_file(package: importlib.metadata.Distribution, name: str) -> Path:
    return Path(str(package.locate_file(f"{_PACKAGE}/models/{name}")))


def _parse(model: str, ranges: bytes) -> QualityRegressor:
    """Parse libsvm's text format, and the pickled ranges of the features."""
    head, _, body = model.partition("\nSV\n")
    settings = dict(line.split(maxsplit=1) for line in head.splitlines())
    assert (settings["svm_type"], settings["kernel_type"]) == ("epsilon_svr", "rbf"), settings
    lines = [line.split() for line in body.splitlines()]
    vectors = np.zeros((len(lines), NUM_FEATURES))
    for row, (_, *entries) in enumerate(lines):
        for entry in entries:  # "index:value", counted from 1; what is not named is 0
            index, value = entry.split(":")
            vectors[row, int(index) - 1] = float(value)
    limits = _DataUnpickler(io.BytesIO(ranges)).load()
    return QualityRegressor(
        minima=np.array(limits["min_"], dtype=float),
        maxima=np.array(limits["max_"], dtype=float),
        support_vectors=vectors,
        coefficients=np.array([float(line[0]) for line in lines]),
        gamma=float(settings["gamma"]),
        rho=float(settings["rho"]),
        digest=hashlib.sha256(model.encode() + ranges).hexdigest(),
    )


class _DataUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dictionaries; a pickle that names any code is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"code in a file of numbers: {module}.{name}")
