"""Six measures of one photograph, each a number that faces can be grouped by.

All but BRISQUE and the colour variance are measured on luma, grey by Rec. 601, 0-255.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from utkface.evaluation.quality_brisque import brisque

_REC601 = (0.299, 0.587, 0.114)
# Of UTKFace's aligned faces, the half from the brows to the mouth and from cheek to cheek. Hair and
# background stay outside: it differs more between the labelled races than the whole picture does
# (13 % of its variance against 11 %). The cheeks and nose alone are no better (14 %), and brighter
# by a bin of those that evaluations use, so that half of all faces would share the last one.
_FACE_EDGES = (0.25, 0.75)
_HIGH_FREQUENCY = 0.25  # cycles per pixel: detail finer than 4 pixels, half of what can be shown
_NO_ENERGY = 1e-6  # far below one grey level in one pixel, far above rounding

Array = NDArray[np.float64]


def luma(image: NDArray[np.uint8]) -> Array:
    """Return the Rec. 601 luma, 0-255, of an (H, W, 3) uint8 RGB image: (H, W)."""
    red, green, blue = (weight * image[..., i] for i, weight in enumerate(_REC601))
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
    red, green, blue = (image[..., i].astype(np.float64) for i in range(3))
    return float((red - green).var() + ((red + green) / 2 - blue).var())


def contrast(grey: Array) -> float:
    """Return the RMS contrast: the standard deviation of luma as a share of full scale, 0-0.5.

    Source: Peli, "Contrast in complex images", Journal of the Optical Society of America A, 1990.
    """
    return float(grey.std() / 255)


# In the order that `measure_image` gives them.
QUALITY_COLUMNS = (
    "luminance",
    "brisque",
    "laplacian_variance",
    "high_frequency_energy",
    "colour_variance",
    "contrast",
)


def measure_image(image: NDArray[np.uint8]) -> Array:
    """Return all measures, as QUALITY_COLUMNS orders them, of an (H, W, 3) uint8 RGB image: (6,).

    H and W must be even. A measure that says nothing of this image is NaN.
    """
    grey = luma(image)
    return np.array(
        [
            luminance(grey),
            brisque(image),
            laplacian_variance(grey),
            high_frequency_energy(grey),
            colour_variance(image),
            contrast(grey),
        ]
    )
