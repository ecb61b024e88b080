"""Named regions of the aligned face, and how much of a model's attention each of them gets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from utkface.evaluation.lime_maps import GRID, Explanations, superpixels

#: The superpixels of UTKFace's aligned crop, named by looking at the mean of 3,000 faces: brows
#: at 0.2 of the height, eyes at 0.28, nostrils at 0.56, lips from 0.67 to 0.8.
_LAYOUT = """
    ..FFFFF..
    .FFFFFFF.
    .EEEEEEE.
    .CCCNCCC.
    .CCNNNCC.
    .CCMMMCC.
    .CMMMMMC.
    ..MMMMM..
    ...MMM...
"""
REGIONS = {
    "forehead and brows": "F",
    "eyes": "E",
    "cheeks": "C",
    "nose": "N",
    "mouth and chin": "M",
    "hair and background": ".",
}
_LETTERS = np.array([list(row) for row in _LAYOUT.split()])
assert _LETTERS.shape == (GRID, GRID), _LETTERS.shape


def region_of_pixels(image_size: int) -> NDArray[np.int64]:
    """Return the position in `REGIONS` of the region of each pixel, (S, S)."""
    positions = np.vectorize(list(REGIONS.values()).index)(_LETTERS)
    return positions.ravel()[superpixels(image_size)]


def mean_map(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the signed and of the absolute weights of many faces, (S, S) each.

    maps: (n, S, S). Signed weights show what a region does to the prediction on average; where it
    raises some faces' and lowers others', only the absolute ones show that it matters.
    """
    return maps.mean(axis=0), np.abs(maps).mean(axis=0)


def region_table(explanations: Explanations) -> list[dict[str, Any]]:
    """Return what each region contributes on average over the faces, as plain values.

    area_share is the region's part of the crop: one that matters more than its size has a larger
    share of the absolute weight, age_share and gender_share. age_years and gender_probability are
    the mean sums of its signed weights. The shares of all regions sum to one.
    """
    image_size = explanations.age_maps.shape[-1]
    region = region_of_pixels(image_size).ravel()
    cells = superpixels(image_size).ravel()
    area = 1 / np.bincount(cells)[cells]  # of a pixel, in superpixels: their pixels differ

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(region, values.ravel() * area)

    def shares(values: np.ndarray) -> np.ndarray:
        # Where a model looks at nothing there is nothing to share.
        return sums(values) / (sums(values).sum() or np.nan)

    age, age_size = mean_map(explanations.age_maps)
    gender, gender_size = mean_map(explanations.gender_maps)
    columns = {
        "area_share": shares(np.ones_like(age)),
        "age_share": shares(age_size),
        "gender_share": shares(gender_size),
        "age_years": sums(age),
        "gender_probability": sums(gender),
    }
    return [
        {"region": name, **{key: _plain(column[row]) for key, column in columns.items()}}
        for row, name in enumerate(REGIONS)
    ]


def _plain(value: float) -> float | None:
    """Return a number as JSON has it, which knows no NaN."""
    return float(value) if np.isfinite(value) else None
