"""The measures of a photograph: what each is called, how it is shown, which groups it makes.

`utkface.evaluation.quality` measures them.
"""

import math
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class PhotoMeasure:
    """A number of a photograph that faces can be grouped by."""

    name: str
    title: str
    attribute: str  # what its groups are called after
    short: str  # title of a column
    unit: str  # with what its ends mean
    digits: int
    is_skewed: bool = False  # drawn on a logarithmic axis
    edges: tuple[float, ...] = ()  # of its groups; by default fifths of the faces at hand
    poor_end: int = 0  # the end where a photograph is poor, 1 or -1


#: By name, in the order that `measure_image` gives them; edges as in the reference's evaluation.
PHOTO_MEASURES = {
    measure.name: measure
    for measure in (
        PhotoMeasure(
            "luminance", "Luminance of the face", "luminance (0 dark to 255 light)", "luminance",
            "0 dark to 255 light", digits=0, edges=(0, 85, 105, 120, 135, 150, math.inf),
        ),
        PhotoMeasure(
            "brisque", "BRISQUE", "BRISQUE (higher is worse)", "BRISQUE",
            "about 0 to 100, high: worse", digits=1, edges=(-math.inf, 25, 35, 45, 55, math.inf),
            poor_end=1,
        ),
        PhotoMeasure(
            "laplacian_variance", "Sharpness", "sharpness (Laplacian variance)", "Laplacian",
            "variance of the Laplacian, low: blur", digits=1, is_skewed=True, poor_end=-1,
        ),
        PhotoMeasure(
            "high_frequency_energy", "Fine detail", "fine detail (high-frequency energy)", "FFT",
            "share of the FFT's energy, low: blur", digits=4, is_skewed=True, poor_end=-1,
        ),
        PhotoMeasure(
            "colour_variance", "Colour variance", "colour variance", "colour",
            "squared levels, 0 grey", digits=0, is_skewed=True,
        ),
        PhotoMeasure(
            "contrast", "Contrast", "contrast", "contrast", "RMS, 0 flat to 0.5", digits=3,
            poor_end=-1,
        ),
        PhotoMeasure(
            "entropy", "Entropy of the greys", "entropy", "entropy", "bits, 0 flat to 8", digits=2,
            poor_end=-1,
        ),
    )
}  # fmt: skip


def find_measured(table: pd.DataFrame) -> list[PhotoMeasure]:
    """Return the measures that a table of faces has any value of; BRISQUE needs an extra."""
    return [
        measure
        for name, measure in PHOTO_MEASURES.items()
        if name in table and table[name].notna().any()
    ]
