"""Figures of faces with their LIME maps. They hold photographs: never commit what they draw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import distance_transform_edt

from utkface.data.labels import GENDERS
from utkface.evaluation.lime import Explanations, region_of_pixels, superpixels
from utkface.evaluation.records import ExplainedFace, RegionWeight
from utkface.io import replacing

_NUM_STRONGEST = 6  # superpixels that are outlined, on each side
_MAP_OPACITY = 0.6


class _Head(NamedTuple):
    """How one of the two predictions is shown."""

    name: str
    unit: str
    label: str  # of the colour bar of its signed weights
    colours: str  # of them
    bar: str  # the colour of its bars
    up: str  # what a positive weight speaks for
    down: str


_HEADS = (
    _Head(
        name="age", unit="years", label="years added to the predicted age", colours="RdBu_r",
        bar="#b2182b", up="older", down="younger",
    ),
    _Head(
        name="gender", unit="probability", label="added to the probability of being female",
        colours="PuOr", bar="#542788", up="female", down="male",
    ),
)  # fmt: skip


def draw_faces(
    path: Path,
    title: str,
    subtitle: str,
    images: np.ndarray,
    faces: Sequence[ExplainedFace],
    explanations: Explanations,
) -> None:
    """Write a PNG with a row for each face (n, S, S, 3) uint8.

    The photograph; then for age and for gender its strongest superpixels, for and against, and the
    map of all.
    """
    figure, (body, foot) = _begin(title, subtitle, 3.1 * len(images), 1.0)
    scales = _scales(np.moveaxis(explanations.maps, 1, 0), percentile=99.5)
    cells = body.subfigures(len(images), 1, squeeze=False).ravel()
    for cell, face, image, maps, fits in zip(
        cells, faces, images, explanations.maps, explanations.r2, strict=True
    ):
        cell.suptitle(
            f"labelled {GENDERS[face.gender]}, aged {face.age}; "
            f"predicted {face.age_years:.1f} years, P(female) {face.gender_probability:.3f}",
            fontsize=11,
        )
        photograph, *panels = cell.subplots(1, 5, subplot_kw={"xticks": [], "yticks": []})
        photograph.imshow(image)
        photograph.set_xlabel(face.file.split(".")[0], fontsize=8, color="0.4")
        for (strongest, whole), head, scale, weights, r2 in zip(
            (panels[:2], panels[2:]), _HEADS, scales, maps, fits, strict=True
        ):
            _draw_strongest(strongest, head, image, weights)
            strongest.set_xlabel(f"what speaks most for {head.up} and {head.down}", fontsize=9)
            _draw_map(whole, head, scale, image, weights)
            whole.set_xlabel(f"{head.name}, R² {r2:.2f}", fontsize=9)
    for axes, head, scale in zip(foot.subplots(1, 2), _HEADS, scales, strict=True):
        axes.set_axis_off()
        _draw_colour_bar(foot, axes, head, scale, extend="both", fraction=0.9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def draw_regions(
    path: Path,
    title: str,
    subtitle: str,
    mean_face: np.ndarray,
    explanations: Explanations,
    regions: Sequence[RegionWeight],
) -> None:
    """Write a PNG with the mean maps of many faces over their mean (S, S, 3), and the regions."""
    directions = explanations.maps.mean(axis=0)  # (2, S, S)
    sizes = np.abs(explanations.maps).mean(axis=0)
    figure, (body,) = _begin(title, subtitle, 8.7)
    (outlined, *above), (bars, *below) = body.subplots(2, 3)
    for axes in (outlined, *above, *below):
        axes.set(xticks=[], yticks=[])
    _draw_outlines(outlined, mean_face, regions)
    _draw_shares(bars, regions)
    for axes, head, size in zip(above, _HEADS, sizes, strict=True):
        image = axes.imshow(size, cmap="magma", vmin=0)
        axes.set_title(f"{head.name}: mean size of the effect")
        ticks = MaxNLocator(5)
        body.colorbar(image, ax=axes, location="bottom", label=head.unit, shrink=0.9, ticks=ticks)
    scales = _scales(directions, percentile=100)
    for axes, head, scale, direction in zip(below, _HEADS, scales, directions, strict=True):
        _draw_map(axes, head, scale, mean_face, direction)
        axes.set_title(f"{head.name}: mean direction of the effect")
        _draw_colour_bar(body, axes, head, scale, shrink=0.9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _begin(title: str, subtitle: str, *heights: float) -> tuple[Figure, list[SubFigure]]:
    """Return a figure, and its parts of these heights (inches) below the title."""
    all_heights = [0.9, *heights]
    figure = Figure(figsize=(13, sum(all_heights)), layout="constrained", dpi=110)
    parts = figure.subfigures(len(all_heights), 1, height_ratios=all_heights, squeeze=False)
    top, *others = parts.ravel()
    top.text(0.5, 0.72, title, ha="center", va="center", fontsize=17, weight="bold")
    top.text(0.5, 0.25, subtitle, ha="center", va="center", fontsize=10, color="0.3")
    return figure, others


def _scales(maps: np.ndarray, percentile: float) -> list[Normalize]:
    """Return a scale for each head's signed maps (2, ...) that few of their weights go beyond."""
    limits = (float(np.percentile(np.abs(of_head), percentile)) or 1.0 for of_head in maps)
    return [Normalize(-limit, limit) for limit in limits]


def _draw_map(
    axes: Axes, head: _Head, scale: Normalize, photograph: np.ndarray, weights: np.ndarray
) -> None:
    """Draw weights (S, S) over the photograph (S, S, 3) in grey."""
    # Pale, so that what the scale shows white does not look dark.
    axes.imshow(photograph.mean(axis=-1), cmap="gray", vmin=-255, vmax=255)
    axes.imshow(weights, cmap=head.colours, norm=scale, alpha=_MAP_OPACITY)


def _draw_strongest(axes: Axes, head: _Head, photograph: np.ndarray, weights: np.ndarray) -> None:
    """Outline the superpixels that weigh most, for and against, on the photograph itself."""
    axes.imshow(photograph)
    cells = superpixels(len(photograph))
    _, first = np.unique(cells, return_index=True)
    by_cell = weights.ravel()[first]  # equal at each pixel of a superpixel
    order = np.argsort(by_cell)
    for cell in (*order[:_NUM_STRONGEST], *order[-_NUM_STRONGEST:]):
        if by_cell[cell] == 0:
            continue
        y, x = np.nonzero(cells == cell)
        corner = (float(x.min()) - 0.5, float(y.min()) - 0.5)
        width, height = float(np.ptp(x)) + 1, float(np.ptp(y)) + 1
        colour = colormaps[head.colours](0.85 if by_cell[cell] > 0 else 0.15)
        axes.add_patch(Rectangle(corner, width, height, fc=(*colour[:3], 0.3), ec=colour, lw=1.5))


def _draw_colour_bar(
    figure: SubFigure, axes: Axes, head: _Head, scale: Normalize, **options: Any
) -> None:
    """Draw the colour bar, opaque as the maps are not, below the axes."""
    colours, ticks = ScalarMappable(scale, head.colours), MaxNLocator(5)
    figure.colorbar(colours, ax=axes, location="bottom", label=head.label, ticks=ticks, **options)


def _draw_outlines(axes: Axes, mean_face: np.ndarray, regions: Sequence[RegionWeight]) -> None:
    """Draw the mean face with the regions' outlines and names."""
    axes.imshow(mean_face.round().astype(np.uint8))
    region = region_of_pixels(len(mean_face))
    for number, row in enumerate(regions):
        inside = region == number
        axes.contour(inside, levels=[0.5], colors="white", linewidths=1)
        y, x = np.argwhere(inside).mean(axis=0)  # the centre
        if not inside[round(y), round(x)]:  # or where the region is widest
            depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
            rows, columns = np.nonzero(depth == depth.max())
            y, x = rows[columns == columns[0]].mean(), columns[0]
        name = row.region.replace(" and ", " &\n")
        axes.text(x, y, name, color="white", fontsize=8, ha="center", va="center")
    axes.set_title("mean face and the regions")


def _draw_shares(axes: Axes, regions: Sequence[RegionWeight]) -> None:
    """Draw each region's share of the absolute weight beside its share of the area."""
    positions = np.arange(len(regions))
    colours = {head.name: head.bar for head in _HEADS} | {"area": "0.75"}
    for offset, (name, colour) in zip((-0.27, 0, 0.27), colours.items(), strict=True):
        percent = [100 * (getattr(row, f"{name}_share") or 0) for row in regions]
        axes.barh(positions + offset, percent, height=0.25, color=colour, label=name)
    axes.set_yticks(positions, [row.region.replace(" and ", " &\n") for row in regions])
    axes.invert_yaxis()
    axes.set_xlabel("share of all effects, and of the area, %")
    axes.set_title("what each region weighs")
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
