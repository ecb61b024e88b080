"""Seven measures of every photograph of a source, each a number that faces can be grouped by.

All but BRISQUE and the colour variance are measured on luma, grey by Rec. 601, 0-255. Faces are
measured once, in parallel, and kept in a cache.
"""

import functools
import inspect
import sys

import numpy as np
import pandas as pd
import PIL
from numpy.typing import NDArray

from utkface.data import Faces, images
from utkface.data.images import ImageRejected, decode_face
from utkface.data.pack import FaceFile, read_unchanged
from utkface.data.sources import SourceName, list_images, open_source
from utkface.evaluation import brisque
from utkface.evaluation.cache import Arrays, cached, content_digest
from utkface.evaluation.photo_measures import PHOTO_MEASURES
from utkface.io import UserError, map_files

# UTKFace's own size, at which its files are measured as they are. Others are brought to it, as
# sharpness and noise mean nothing across sizes.
IMAGE_SIZE = 200
_REC601 = (0.299, 0.587, 0.114)
# Of UTKFace's aligned faces, the half from the brows to the mouth and from cheek to cheek. Hair and
# background stay outside: it differs more between the labelled races than the whole picture does
# (13 % of its variance against 11 %). The cheeks and nose alone are no better (14 %), and brighter
# by a bin of those that evaluations use, so that half of all faces would share the last one.
_FACE_EDGES = (0.25, 0.75)
_HIGH_FREQUENCY = 0.25  # cycles per pixel: detail finer than 4 pixels, half of what can be shown
_NO_ENERGY = 1e-6  # far below one grey level in one pixel, far above rounding

Array = NDArray[np.float64]

QUALITY_COLUMNS = tuple(PHOTO_MEASURES)


def measure_quality(
    faces: Faces, source: SourceName, rows: NDArray[np.integer] | None = None
) -> pd.DataFrame:
    """Measure the original photographs of faces, or read what an earlier call measured.

    faces: as `load_faces` gave them for ``source``, at any image size; rows: of the faces to
    measure, by default all. Returns file and QUALITY_COLUMNS (float64; definitions and units
    below), row i being row i of ``faces.table``, NaN where an image cannot be measured or was not
    asked for. Raises `UserError` when a photograph is no longer there or has changed, or the cache
    cannot be written.
    """
    wanted = faces.table if rows is None else faces.table.iloc[rows]

    def measure() -> Arrays:
        files = _find_photographs(wanted, source)
        return {"values": np.stack([*map_files(_measure_file, files, "Measuring image quality")])}

    key = content_digest(_measures_version(), *wanted.sha256)
    quality = pd.DataFrame(np.nan, index=faces.table.index, columns=list(QUALITY_COLUMNS))
    quality.loc[wanted.index] = cached("quality", key, measure)["values"]
    quality.insert(0, "file", faces.table.file.to_numpy())
    return quality


def _find_photographs(table: pd.DataFrame, source: SourceName) -> list[FaceFile]:
    """Return the original file of each row."""
    opened = open_source(source)
    # Of several the first one stays, as it does in `load_faces`.
    paths = {image.path.name: image.path for image in reversed(list_images(opened.roots))}
    lost = [file for file in table.file if file not in paths]
    if lost:
        raise UserError(
            f"{len(lost)} of {len(table)} photographs are not in {opened.label}, the first: "
            f"{lost[0]}; give the folder or archives that the faces were read from"
        )
    return [
        FaceFile(paths[file], sha256) for file, sha256 in zip(table.file, table.sha256, strict=True)
    ]


def _measure_file(file: FaceFile) -> NDArray[np.float64]:
    """Return the measures of one file, all NaN where there is no usable image in it."""
    try:
        return measure_image(decode_face(read_unchanged(file), IMAGE_SIZE))
    except ImageRejected:
        return np.full(len(QUALITY_COLUMNS), np.nan)


def _measures_version() -> str:
    """Name what the measures depend on beside the image files: code, trained model, decoder."""
    code = [inspect.getsource(module) for module in (images, sys.modules[__name__], brisque)]
    regressor = brisque.load_regressor()
    return content_digest(*code, regressor.digest if regressor else "", PIL.__version__)


def measure_image(image: NDArray[np.uint8]) -> Array:
    """Return all measures, as QUALITY_COLUMNS orders them, of an (H, W, 3) uint8 RGB image: (7,).

    H and W must be even. A measure that says nothing of this image is NaN.
    """
    grey = luma(image)
    return np.array(
        [
            luminance(grey),
            brisque.brisque(image),
            laplacian_variance(grey),
            high_frequency_energy(grey),
            colour_variance(image),
            contrast(grey),
            entropy(grey),
        ]
    )


def luma(image: NDArray[np.uint8]) -> Array:
    """Return the Rec. 601 luma, 0-255, of an (H, W, 3) uint8 RGB image: (H, W)."""
    planes = np.moveaxis(image, -1, 0).astype(np.float64)
    red, green, blue = (weight * plane for weight, plane in zip(_REC601, planes, strict=True))
    return red + green + blue


def luminance(grey: Array) -> float:
    """Return the mean luma, 0-255, of the central half of the height and width.

    A rough stand-in for the skin's colour: light and exposure move it as much as skin does. Source:
    the reference project, whose bins of luminance this serves; it does not say where it measured.
    """
    rows, columns = (slice(*(round(edge * side) for edge in _FACE_EDGES)) for side in grey.shape)
    return float(grey[rows, columns].mean())


def laplacian_variance(grey: Array) -> float:
    """Return the variance, in squared grey levels, of the Laplacian over four neighbours.

    The usual measure of focus: low where a photograph is blurred, high where it is sharp or noisy.
    Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((neighbours - 4 * grey[1:-1, 1:-1]).var())


def high_frequency_energy(grey: Array) -> float:
    """Return the share, 0-1, of the spectrum's energy beyond 0.25 cycles per pixel.

    The spectrum is that of the Fourier transform without its mean; a Hann window keeps the step
    between opposite borders out of it. 0 for a flat image. Unlike the Laplacian's variance it does
    not grow with contrast. Source: the spectral measures of focus in Pertuz, Puig and Garcia,
    "Analysis of focus measure operators for shape-from-focus", Pattern Recognition 46(5), 2013.
    """
    window, weights, is_high = _spectrum_grid(*grey.shape)
    mean = (grey * window).sum() / window.sum()
    energy = weights * np.abs(np.fft.rfft2((grey - mean) * window)) ** 2
    total = energy.sum()
    return float(energy[is_high].sum() / total) if total > _NO_ENERGY else 0.0


@functools.cache
def _spectrum_grid(height: int, width: int) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return the Hann window, and of the half spectrum each entry's weight and if it is high."""
    window = np.outer(np.hanning(height), np.hanning(width))
    vertical, horizontal = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    # The half spectrum of a real image leaves out the mirror image of all but these columns.
    weights = np.where((horizontal == 0) | (horizontal == 0.5), 1.0, 2.0)
    return window, weights, np.hypot(vertical, horizontal) > _HIGH_FREQUENCY


def colour_variance(image: NDArray[np.uint8]) -> float:
    """Return the variance of red - green plus that of yellow - blue, in squared levels.

    How varied the colours are, whatever the light and dark: 0 for a grey photograph. Source: the
    spread of opponent colours in Hasler and Süsstrunk, "Measuring colourfulness in natural images",
    Human Vision and Electronic Imaging, 2003.
    """
    red, green, blue = np.moveaxis(image, -1, 0).astype(np.float64)
    return float((red - green).var() + ((red + green) / 2 - blue).var())


def contrast(grey: Array) -> float:
    """Return the RMS contrast: the standard deviation of luma as a share of full scale, 0-0.5.

    Source: Peli, "Contrast in complex images", Journal of the Optical Society of America A, 1990.
    """
    return float(grey.std() / 255)


def entropy(grey: Array) -> float:
    """Return the Shannon entropy of the histogram of luma in whole levels, 0 to 8 bits.

    How many greys a photograph uses, and how evenly: 0 for a flat image, low for one that is
    nearly black, burnt out or of few tones. Source: Shannon, "A mathematical theory of
    communication", Bell System Technical Journal 27, 1948.
    """
    counts = np.bincount(np.rint(grey).astype(np.uint8).ravel(), minlength=256)
    shares = counts[counts > 0] / grey.size
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # never minus zero
