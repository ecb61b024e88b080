"""BRISQUE, a quality score that needs no reference image.

Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE
Transactions on Image Processing 21(12), 2012: in a natural photograph, pixels freed of their local
mean and contrast are distributed nearly as a Gaussian; 36 numbers say how far they are from it, and
a regressor trained on people's opinions turns these into a score.

Scores are those of the PyPI package ``brisque`` 0.2.0 (Guha 2024, Apache-2.0), also where it
departs from the paper: the border is padded with zeros, grey is Rec. 709, the half scale is bicubic
without antialiasing. Two things differ: a distribution's shape is looked up between 0.2 and 10, as
in the paper; and flat patches count as zero, where the package lets rounding decide their sign,
which moves the score of a photograph with a flat background by a tenth of a point or two.

The regressor is read as data from that package, whose code needs OpenCV, and libsvm, which has no
wheel. So the package is an extra; without it this measure is left out and nothing else.

One image at a time: its arrays fit the processor's cache, a batch's do not and take twice the time.
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
from scipy.ndimage import gaussian_filter
from scipy.special import gamma
from sklearn.datasets import load_svmlight_file

from utkface.io import UserError

_REC709 = (0.2125, 0.7154, 0.0721)
_SIGMA_PIXELS, _RADIUS_PIXELS = 7 / 6, 3
_STABILISER = 1 / 255  # keeps the division finite where a patch is flat
_NUM_FEATURES = 36
_ROUNDING = 1e-9  # coefficients below are what is left of zero
_HALVING_TAPS = (-3 / 32, 19 / 32, 19 / 32, -3 / 32)  # OpenCV's bicubic at half a pixel

_PACKAGE = "brisque"
NOT_INSTALLED = (
    "BRISQUE is not measured: its model is in a package that is not installed; get it by `pip "
    "install utkface-tune[brisque]`, or without a compiler `pip install --no-deps brisque==0.2.0`"
)

Array = NDArray[np.float64]


def brisque(image: NDArray[np.uint8]) -> float:
    """Return the BRISQUE score of an image: about 0 (pristine) to 100, lower is better.

    image: (H, W, 3) uint8 RGB, H and W even. NaN for an image without structure, as one of a
    single colour, of which the measure says nothing, and where the model is not installed.
    """
    regressor = load_regressor()
    return np.nan if regressor is None else regressor.predict(brisque_features(image))


def brisque_features(image: NDArray[np.uint8]) -> Array:
    """Return the 36 features of an image, 18 at full and 18 at half resolution."""
    planes = np.moveaxis(image, -1, 0).astype(np.float64)  # rows in a piece: twice as fast
    red, green, blue = (weight / 255 * plane for weight, plane in zip(_REC709, planes, strict=True))
    grey = red + green + blue
    features: list[float] = []
    for scale in (grey, _halved(grey)):
        coefficients = _normalised(scale)
        shape, _, left, right = _fitted(coefficients)
        features += [shape, (left + right) / 2]
        for neighbour_products in (
            coefficients[:, :-1] * coefficients[:, 1:],  # horizontal
            coefficients[:-1] * coefficients[1:],  # vertical
            coefficients[:-1, :-1] * coefficients[1:, 1:],  # along the diagonal
            coefficients[1:, :-1] * coefficients[:-1, 1:],  # along the other diagonal
        ):
            features += _fitted(neighbour_products)
    return np.array(features)


def _normalised(grey: Array) -> Array:
    """Return the mean-subtracted, contrast-normalised (MSCN) coefficients of grey (H, W)."""
    smooth = functools.partial(
        gaussian_filter, sigma=_SIGMA_PIXELS, radius=_RADIUS_PIXELS, mode="constant"
    )
    mean = smooth(grey)
    deviation = np.sqrt(np.abs(smooth(grey**2) - mean**2))
    coefficients = (grey - mean) / (deviation + _STABILISER)
    coefficients[np.abs(coefficients) < _ROUNDING] = 0
    return coefficients


def _fitted(values: Array) -> tuple[float, float, float, float]:
    """Fit an asymmetric generalised Gaussian to values of any shape, by their moments.

    Returns its shape, mean, left and right variance; NaN where there is nothing on one side.
    """
    values = values.ravel()
    below = np.minimum(values, 0)
    above = values - below
    num_left = np.count_nonzero(below)
    # Not by `@`: BLAS splits so short a sum among threads, which on busy cores wait for each other
    # six times as long as all the rest takes.
    left_squares, right_squares = (np.einsum("i,i->", side, side) for side in (below, above))
    if not left_squares or not right_squares:
        return (np.nan,) * 4
    left_variance = left_squares / num_left
    right_variance = right_squares / (values.size - num_left)
    ratio = np.sqrt(left_variance / right_variance)
    moments = (above.sum() - below.sum()) ** 2 / values.size / (left_squares + right_squares)
    moments *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = np.interp(moments, *_shape_table())
    spread = gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
    mean = (np.sqrt(right_variance) - np.sqrt(left_variance)) * spread
    return float(shape), float(mean), float(left_variance), float(right_variance)


@functools.cache
def _shape_table() -> tuple[Array, Array]:
    """Return (E|x|)² / E(x²) of generalised Gaussians, rising, and the shapes that have it."""
    shapes = np.linspace(0.2, 10, 9801)
    return gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes)), shapes


def _halved(grey: Array) -> Array:
    """Halve the resolution of grey (H, W) by bicubic interpolation, as OpenCV does."""
    for _ in range(2):  # rows, then columns
        side = len(grey)
        assert side % 2 == 0, f"a side of {side} pixels is odd"
        padded = np.pad(grey, [(1, 1), (0, 0)], mode="edge")
        taps = [tap * padded[start:][:side:2] for start, tap in enumerate(_HALVING_TAPS)]
        grey = np.ascontiguousarray(np.sum(taps, axis=0).T)
    return grey


class QualityRegressor(NamedTuple):
    """An epsilon-SVR with an RBF kernel over features that are scaled to -1..1."""

    minima: Array  # (36,)
    maxima: Array  # (36,)
    support_vectors: Array  # (M, 36)
    coefficients: Array  # (M,)
    gamma: float
    rho: float
    digest: str  # of the files it came from

    def predict(self, features: Array) -> float:
        """Return the score of one image's features (36,); NaN where a feature is NaN."""
        scaled = 2 * (features - self.minima) / (self.maxima - self.minima) - 1
        distances = ((self.support_vectors - scaled) ** 2).sum(axis=1)
        return float(np.exp(-self.gamma * distances) @ self.coefficients - self.rho)


@functools.cache
def load_regressor() -> QualityRegressor | None:
    """Read the regressor, None where its package is not installed.

    Raises `UserError` where the installed package is damaged.
    """
    try:
        package = importlib.metadata.distribution(_PACKAGE)
        folder = Path(str(package.locate_file(f"{_PACKAGE}/models")))
        model = (folder / "svm.txt").read_bytes()
        ranges = (folder / "normalize.pickle").read_bytes()
    except importlib.metadata.PackageNotFoundError:
        return None
    except OSError as error:
        raise UserError(
            f"cannot read the model of the package {_PACKAGE} ({error}); install it again: "
            f"pip install --no-deps --force-reinstall {_PACKAGE}==0.2.0"
        ) from error
    return _parse(model.decode(), ranges)


def _parse(model: str, ranges: bytes) -> QualityRegressor:
    """Parse libsvm's text format, and the pickled ranges of the features."""
    head, _, body = model.partition("\nSV\n")
    settings = dict(line.split(maxsplit=1) for line in head.splitlines())
    assert (settings["svm_type"], settings["kernel_type"]) == ("epsilon_svr", "rbf"), settings
    vectors, coefficients = load_svmlight_file(
        io.BytesIO(body.encode()), n_features=_NUM_FEATURES, zero_based=False
    )
    limits = _DataUnpickler(io.BytesIO(ranges)).load()
    return QualityRegressor(
        minima=np.array(limits["min_"], dtype=float),
        maxima=np.array(limits["max_"], dtype=float),
        support_vectors=vectors.toarray(),
        coefficients=coefficients,
        gamma=float(settings["gamma"]),
        rho=float(settings["rho"]),
        digest=hashlib.sha256(model.encode() + ranges).hexdigest(),
    )


class _DataUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dictionaries; a pickle that names any code is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"code in a file of numbers: {module}.{name}")
