"""Figures of faces with their LIME maps. They hold photographs: never commit what they draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
_AGE_LABEL = "years added to the predicted age"
_GENDER_LABEL = "added to the probability of being female"


@dataclass(frozen=True)
class _Scale:
    """Colours of a head's signed weights, the same for all maps of a figure."""

    label: str
    colours: str
    limit: float

    def draw(self, axes: Axes, photograph: np.ndarray, weights: np.ndarray) -> None:
        """Draw weights (S, S) over the photograph (S, S, 3) in grey."""
        # Pale, so that what the scale shows white does not look dark.
        axes.imshow(photograph.mean(axis=-1), cmap="gray", vmin=-255, vmax=255)
        axes.imshow(weights, cmap=self.colours, norm=self._norm(), alpha=_MAP_OPACITY)

    def draw_strongest(self, axes: Axes, photograph: np.ndarray, weights: np.ndarray) -> None:
        """Outline the superpixels that weigh most, for and against, on the photograph itself."""
        axes.imshow(photograph)
        colours = colormaps[self.colours]
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
        colours = ScalarMappable(self._norm(), self.colours)
        figure.colorbar(
            colours, ax=axes, location="bottom", label=self.label, ticks=_ticks(), **options
        )

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
    scales = _scales(explanations.age_maps, explanations.gender_maps, percentile=99.5)
    heights = [0.9, 3.1 * len(images), 1.0]  # inches
    figure = Figure(figsize=(13, sum(heights)), layout="constrained", dpi=_DPI)
    head, body, foot = figure.subfigures(3, 1, height_ratios=heights, squeeze=False).ravel()
    _write_head(head, title, subtitle)
    cells = body.subfigures(len(images), 1, squeeze=False).ravel()
    for row, (cell, face) in enumerate(zip(cells, faces, strict=True)):
        maps = explanations.age_maps[row], explanations.gender_maps[row]
        r2 = explanations.age_r2[row], explanations.gender_r2[row]
        _draw_face(cell, images[row], face, maps, r2, scales)
    for axes, scale in zip(foot.subplots(1, 2), scales, strict=True):
        axes.set_axis_off()
        scale.draw_bar(foot, axes, extend="both", fraction=0.9)
    _save(figure, path)


def _draw_face(
    cell: SubFigure,
    image: np.ndarray,
    face: ExplainedFace,
    maps: tuple[np.ndarray, np.ndarray],
    r2: tuple[float, float],
    scales: tuple[_Scale, _Scale],
) -> None:
    """Draw one face in its part of the sheet."""
    said = (
        f"labelled {GENDERS[face.gender]}, aged {face.age}; "
        f"predicted {face.age_years:.1f} years, P(female) {face.gender_probability:.3f}"
    )
    cell.suptitle(said, fontsize=11)
    photograph, *others = cell.subplots(1, 5)
    photograph.imshow(image)
    photograph.set_xlabel(face.file.split(".")[0], fontsize=8, color="0.4")
    _hide_ticks(photograph)
    sides = (("older", "younger"), ("female", "male"))
    for head, panels, (up, down), weights, fit, scale in zip(
        ("age", "gender"), (others[:2], others[2:]), sides, maps, r2, scales, strict=True
    ):
        scale.draw_strongest(panels[0], image, weights)
        panels[0].set_xlabel(f"what speaks most for {up} and {down}", fontsize=9)
        scale.draw(panels[1], image, weights)
        panels[1].set_xlabel(f"{head}, R² {fit:.2f}", fontsize=9)
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
    age, age_size = mean_map(explanations.age_maps)
    gender, gender_size = mean_map(explanations.gender_maps)
    scales = _scales(age, gender, percentile=100)
    heights = [0.9, 8.7]  # inches
    figure = Figure(figsize=(13, sum(heights)), layout="constrained", dpi=_DPI)
    head, body = figure.subfigures(2, 1, height_ratios=heights, squeeze=False).ravel()
    _write_head(head, title, subtitle)
    (outlined, *sizes), (bars, *signed) = body.subplots(2, 3)
    _draw_outlines(outlined, mean_face, regions)
    _draw_shares(bars, regions)
    units = ("years", "probability")
    names = ("age", "gender")
    for axes, weights, unit, name in zip(sizes, (age_size, gender_size), units, names, strict=True):
        image = axes.imshow(weights, cmap="magma", vmin=0)
        axes.set_title(f"{name}: mean size of the effect")
        body.colorbar(image, ax=axes, location="bottom", label=unit, shrink=0.9, ticks=_ticks())
        _hide_ticks(axes)
    for axes, weights, scale, name in zip(signed, (age, gender), scales, names, strict=True):
        scale.draw(axes, mean_face, weights)
        axes.set_title(f"{name}: mean direction of the effect")
        scale.draw_bar(body, axes, shrink=0.9)
        _hide_ticks(axes)
    _save(figure, path)


def _draw_outlines(axes: Axes, mean_face: np.ndarray, regions: Sequence[RegionWeight]) -> None:
    """Draw the mean face with the regions' outlines and names."""
    axes.imshow(mean_face.round().astype(np.uint8))
    region = region_of_pixels(len(mean_face))
    for number, row in enumerate(regions):
        inside = region == number
        axes.contour(inside, levels=[0.5], colors="white", linewidths=1)
        x, y = _label_position(inside)
        axes.text(x, y, _two_lines(row.region), color="white", fontsize=8, ha="center", va="center")
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
    columns = {"age_share": "age", "gender_share": "gender", "area_share": "area"}
    colours = ("#b2182b", "#542788", "0.75")
    for offset, (column, label), colour in zip(
        (-0.27, 0, 0.27), columns.items(), colours, strict=True
    ):
        percent = [100 * (getattr(row, column) or 0) for row in regions]
        axes.barh(positions + offset, percent, height=0.25, color=colour, label=label)
    names = [_two_lines(row.region) for row in regions]
    axes.set_yticks(positions, names)
    axes.invert_yaxis()
    axes.set_xlabel("share of all effects, and of the area, %")
    axes.set_title("what each region weighs")
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)


def _scales(age: np.ndarray, gender: np.ndarray, percentile: float) -> tuple[_Scale, _Scale]:
    """Return scales for signed maps that few of their weights go beyond."""
    age_limit, gender_limit = (
        float(np.percentile(np.abs(maps), percentile)) or 1.0 for maps in (age, gender)
    )
    return _Scale(_AGE_LABEL, "RdBu_r", age_limit), _Scale(_GENDER_LABEL, "PuOr", gender_limit)


def _write_head(head: SubFigure, title: str, subtitle: str) -> None:
    """Write a figure's title and, below it, how it is to be read."""
    head.text(0.5, 0.72, title, ha="center", va="center", fontsize=17, weight="bold")
    head.text(0.5, 0.25, subtitle, ha="center", va="center", fontsize=10, color="0.3")


def _two_lines(region: str) -> str:
    return region.replace(" and ", " &\n")


def _ticks() -> MaxNLocator:
    return MaxNLocator(5)


def _hide_ticks(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def _save(figure: Figure, path: Path) -> None:
    """Write the figure, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
