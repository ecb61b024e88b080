"""Figures of faces with their LIME maps. They hold photographs: never commit what they draw."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from utkface.evaluation.lime import Explanations, mean_map, region_of_pixels, superpixels
from utkface.evaluation.records import ExplainedFace, RegionWeight
from utkface.io import replacing

_DPI = 110
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


@dataclass(frozen=True)
class _Scale:
    """Colours of a head's signed weights, the same for all maps of a figure."""

    head: _Head
    limit: float

    def draw(self, axes: Axes, photograph: np.ndarray, weights: np.ndarray) -> None:
        """Draw weights (S, S) over the photograph (S, S, 3) in grey."""
        # Pale, so that what the scale shows white does not look dark.
        axes.imshow(photograph.mean(axis=-1), cmap="gray", vmin=-255, vmax=255)
        axes.imshow(weights, cmap=self.head.colours, norm=self._norm(), alpha=_MAP_OPACITY)

    def draw_strongest(self, axes: Axes, photograph: np.ndarray, weights: np.ndarray) -> None:
        """Outline the superpixels that weigh most, for and against, on the photograph itself."""
        axes.imshow(photograph)
        colours = colormaps[self.head.colours]
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
            colour = colours(0.85 if by_cell[cell] > 0 else 0.15)
            axes.add_patch(
                Rectangle(corner, width, height, fc=(*colour[:3], 0.3), ec=colour, lw=1.5)
            )

    def draw_bar(self, figure: Figure | SubFigure, axes: Axes, **options: Any) -> None:
        """Draw the colour bar, opaque as the maps are not, below the axes."""
        colours = ScalarMappable(self._norm(), self.head.colours)
        label, ticks = self.head.label, MaxNLocator(5)
        figure.colorbar(colours, ax=axes, location="bottom", label=label, ticks=ticks, **options)

    def _norm(self) -> Normalize:
        return Normalize(-self.limit, self.limit)


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
    scales = _scales(np.moveaxis(explanations.maps, 1, 0), percentile=99.5)
    heights = [0.9, 3.1 * len(images), 1.0]  # inches
    figure = Figure(figsize=(13, sum(heights)), layout="constrained", dpi=_DPI)
    top, body, foot = figure.subfigures(3, 1, height_ratios=heights, squeeze=False).ravel()
    _write_head(top, title, subtitle)
    cells = body.subfigures(len(images), 1, squeeze=False).ravel()
    for row, (cell, face) in enumerate(zip(cells, faces, strict=True)):
        _draw_face(cell, images[row], face, explanations.maps[row], explanations.r2[row], scales)
    for axes, scale in zip(foot.subplots(1, 2), scales, strict=True):
        axes.set_axis_off()
        scale.draw_bar(foot, axes, extend="both", fraction=0.9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_face(
    cell: SubFigure,
    image: np.ndarray,
    face: ExplainedFace,
    maps: np.ndarray,
    r2: np.ndarray,
    scales: Sequence[_Scale],
) -> None:
    """Draw one face with its maps (2, S, S) in its part of the sheet."""
    said = (
        f"labelled {GENDERS[face.gender]}, aged {face.age}; "
        f"predicted {face.age_years:.1f} years, P(female) {face.gender_probability:.3f}"
    )
    cell.suptitle(said, fontsize=11)
    photograph, *others = cell.subplots(1, 5)
    photograph.imshow(image)
    photograph.set_xlabel(face.file.split(".")[0], fontsize=8, color="0.4")
    _hide_ticks(photograph)
    for panels, weights, fit, scale in zip((others[:2], others[2:]), maps, r2, scales, strict=True):
        head = scale.head
        scale.draw_strongest(panels[0], image, weights)
        panels[0].set_xlabel(f"what speaks most for {head.up} and {head.down}", fontsize=9)
        scale.draw(panels[1], image, weights)
        panels[1].set_xlabel(f"{head.name}, R² {fit:.2f}", fontsize=9)
        for axes in panels:
            _hide_ticks(axes)


def draw_regions(
    path: Path,
    title: str,
    subtitle: str,
    mean_face: np.ndarray,
    explanations: Explanations,
    regions: Sequence[RegionWeight],
) -> None:
    """Write a PNG with the mean maps of many faces over their mean (S, S, 3), and the regions."""
    directions, sizes = mean_map(explanations.maps)  # (2, S, S) each
    scales = _scales(directions, percentile=100)
    heights = [0.9, 8.7]  # inches
    figure = Figure(figsize=(13, sum(heights)), layout="constrained", dpi=_DPI)
    top, body = figure.subfigures(2, 1, height_ratios=heights, squeeze=False).ravel()
    _write_head(top, title, subtitle)
    (outlined, *above), (bars, *below) = body.subplots(2, 3)
    _draw_outlines(outlined, mean_face, regions)
    _draw_shares(bars, regions)
    for axes, size, head in zip(above, sizes, _HEADS, strict=True):
        image = axes.imshow(size, cmap="magma", vmin=0)
        axes.set_title(f"{head.name}: mean size of the effect")
        body.colorbar(
            image, ax=axes, location="bottom", label=head.unit, shrink=0.9, ticks=MaxNLocator(5)
        )
        _hide_ticks(axes)
    for axes, direction, scale in zip(below, directions, scales, strict=True):
        scale.draw(axes, mean_face, direction)
        axes.set_title(f"{scale.head.name}: mean direction of the effect")
        scale.draw_bar(body, axes, shrink=0.9)
        _hide_ticks(axes)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_outlines(axes: Axes, mean_face: np.ndarray, regions: Sequence[RegionWeight]) -> None:
    """Draw the mean face with the regions' outlines and names."""
    axes.imshow(mean_face.round().astype(np.uint8))
    region = region_of_pixels(len(mean_face))
    for number, row in enumerate(regions):
        inside = region == number
        axes.contour(inside, levels=[0.5], colors="white", linewidths=1)
        x, y = _label_position(inside)
        name = row.region.replace(" and ", " &\n")
        axes.text(x, y, name, color="white", fontsize=8, ha="center", va="center")
    axes.set_title("mean face and the regions")
    _hide_ticks(axes)


def _label_position(inside: np.ndarray) -> tuple[float, float]:
    """Return x and y of a region's centre, or where that lies outside, of its widest place."""
    rows, columns = np.nonzero(inside)
    x, y = columns.mean(), rows.mean()
    if not inside[round(y), round(x)]:
        depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        y, x = np.argwhere(depth == depth.max()).T
        y, x = y[x == x[0]].mean(), x[0]
    return x, y


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


def _scales(maps: np.ndarray, percentile: float) -> list[_Scale]:
    """Return a scale for each head's signed maps (2, ...) that few of their weights go beyond."""
    limits = (float(np.percentile(np.abs(of_head), percentile)) or 1.0 for of_head in maps)
    return [_Scale(head, limit) for head, limit in zip(_HEADS, limits, strict=True)]


def _write_head(top: SubFigure, title: str, subtitle: str) -> None:
    """Write a figure's title and, below it, how it is to be read."""
    top.text(0.5, 0.72, title, ha="center", va="center", fontsize=17, weight="bold")
    top.text(0.5, 0.25, subtitle, ha="center", va="center", fontsize=10, color="0.3")


def _hide_ticks(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
