"""Seven measures of every photograph of a source, each a number that faces can be grouped by.

All but BRISQUE and the colour variance are measured on luma, grey by Rec. 601, 0-255. Faces are
measured once, in parallel, and kept in a cache.
"""

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import PIL
from numpy.typing import NDArray

from utkface.data import Faces, images
from utkface.data.faces import num_cores
from utkface.data.images import ImageRejected, decode_face
from utkface.data.sources import SourceName, cache_folder, list_images, open_source
from utkface.evaluation import brisque
from utkface.evaluation.cache import read_arrays, write_arrays
from utkface.io import UserError, progress_bar

# UTKFace's own size, at which its files are measured as they are. Others are brought to it, as
# sharpness and noise mean nothing across sizes.
IMAGE_SIZE = 200
_FILES_PER_TASK = 16
_FILES_PER_SAVE = 2048  # a killed run loses some ten seconds of work
_REC601 = (0.299, 0.587, 0.114)
# Of UTKFace's aligned faces, the half from the brows to the mouth and from cheek to cheek. Hair and
# background stay outside: it differs more between the labelled races than the whole picture does
# (13 % of its variance against 11 %). The cheeks and nose alone are no better (14 %), and brighter
# by a bin of those that evaluations use, so that half of all faces would share the last one.
_FACE_EDGES = (0.25, 0.75)
_HIGH_FREQUENCY = 0.25  # cycles per pixel: detail finer than 4 pixels, half of what can be shown
_NO_ENERGY = 1e-6  # far below one grey level in one pixel, far above rounding

Array = NDArray[np.float64]

# In the order that `measure_image` gives them.
QUALITY_COLUMNS = (
    "luminance",
    "brisque",
    "laplacian_variance",
    "high_frequency_energy",
    "colour_variance",
    "contrast",
    "entropy",
)


class _Photograph(NamedTuple):
    """An original image file, and the sha256 that its content must have."""

    path: Path
    sha256: str


def measure_quality(
    faces: Faces,
    source: SourceName,
    cache_dir: str | Path | None = None,
    num_workers: int | None = None,
    rows: NDArray[np.integer] | None = None,
) -> pd.DataFrame:
    """Measure the original photographs of faces, or read what an earlier call measured.

    faces: as `load_faces` gave them for ``source``, at any image size; cache_dir: by default
    UTKFACE_CACHE or ~/.cache/utkface; num_workers: threads, by default one per core; rows: of the
    faces to measure, by default all. Returns file and QUALITY_COLUMNS (float64; definitions and
    units below), row i being row i of ``faces.table``, NaN where an image cannot be measured or
    was not asked for. Raises `UserError` when a photograph is
    no longer there or has changed, or the cache cannot be written.
    """
    cache_dir = Path(cache_dir).expanduser() if cache_dir else cache_folder()
    cache = _Cache(cache_dir / "quality", faces.fingerprint)
    measured = cache.read()
    wanted = faces.table if rows is None else faces.table.iloc[rows]
    unknown = wanted[~wanted.sha256.isin(measured.index)].drop_duplicates("sha256")
    if len(unknown):
        photographs = _find_photographs(unknown, source, cache_dir)
        with progress_bar("Measuring image quality", len(unknown)) as advance:
            for part in _measured_parts(photographs, num_workers or num_cores(), advance):
                measured = pd.concat([measured, part])
                cache.write(measured)
    quality = measured.reindex(faces.table.sha256).reset_index(drop=True)
    quality.loc[~faces.table.index.isin(wanted.index)] = np.nan  # even where it happens to be known
    quality.insert(0, "file", faces.table.file.to_numpy())
    return quality


def _find_photographs(
    table: pd.DataFrame, source: SourceName, cache_dir: Path
) -> list[_Photograph]:
    """Return the original file of each row; the first of a name, as `load_faces` keeps it."""
    opened = open_source(source, cache_dir)
    paths: dict[str, Path] = {}
    for image in list_images(opened.roots):
        paths.setdefault(image.path.name, image.path)
    lost = [file for file in table.file if file not in paths]
    if lost:
        raise UserError(
            f"{len(lost)} of {len(table)} photographs are not in {opened.label}, the first: "
            f"{lost[0]}; give the folder or archives that the faces were read from"
        )
    return [
        _Photograph(paths[file], sha256)
        for file, sha256 in zip(table.file, table.sha256, strict=True)
    ]


def _measured_parts(
    photographs: Sequence[_Photograph], num_workers: int, advance: Callable[[int], None]
) -> Iterator[pd.DataFrame]:
    """Measure in threads (Pillow, NumPy and SciPy let go of the interpreter's lock), in parts."""
    pool = ThreadPoolExecutor(num_workers)
    try:
        for start in range(0, len(photographs), _FILES_PER_SAVE):
            part = photographs[start : start + _FILES_PER_SAVE]
            tasks = [part[i : i + _FILES_PER_TASK] for i in range(0, len(part), _FILES_PER_TASK)]
            values: list[Array] = []
            for rows in pool.map(_measure_files, tasks):
                values += rows
                advance(len(rows))
            index = [photograph.sha256 for photograph in part]
            yield pd.DataFrame(values, index=index, columns=list(QUALITY_COLUMNS))
    finally:
        pool.shutdown(cancel_futures=True)


def _measure_files(photographs: Sequence[_Photograph]) -> list[NDArray[np.float64]]:
    return [_measure_file(photograph) for photograph in photographs]


def _measure_file(photograph: _Photograph) -> NDArray[np.float64]:
    """Return the measures of one file, all NaN where there is no usable image in it."""
    try:
        data = photograph.path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {photograph.path}: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != photograph.sha256:
        raise UserError(f"{photograph.path} changed since the faces were read; run again")
    try:
        return measure_image(decode_face(data, IMAGE_SIZE))
    except ImageRejected:
        return np.full(len(QUALITY_COLUMNS), np.nan)


def _measures_version() -> str:
    """Name what the measures depend on beside the image files: code, trained model, decoder."""
    parts = [inspect.getsource(module) for module in (images, sys.modules[__name__], brisque)]
    regressor = brisque.load_regressor()
    parts += [regressor.digest if regressor else "", PIL.__version__, str(IMAGE_SIZE)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class _Cache:
    """The measures of earlier runs, one row per content of an image file (sha256).

    So rows are found by what they were measured on, whatever its name or place, and a run that was
    killed goes on with what it had saved.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        version = _measures_version()
        self.path = folder / f"{fingerprint[:24]}-{version[:12]}.npz"
        self._key = f"{fingerprint} {version}"

    def read(self) -> pd.DataFrame:
        """Return what was saved; nothing if it is missing, torn, or of other data or version."""
        saved = read_arrays(self.path, self._key) or {}
        digests = saved.get("sha256", np.empty(0, dtype="S64"))
        values = saved.get("values", np.empty(0))
        if values.shape != (len(digests), len(QUALITY_COLUMNS)):
            digests, values = digests[:0], np.empty((0, len(QUALITY_COLUMNS)))
        return pd.DataFrame(values, index=digests.astype(str), columns=list(QUALITY_COLUMNS))

    def write(self, measured: pd.DataFrame) -> None:
        """Replace the file; raises `UserError` when the disk is full or cannot be written."""
        digests = measured.index.to_numpy().astype("S64")
        write_arrays(self.path, self._key, {"sha256": digests, "values": measured.to_numpy()})


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
