"""A model's predictions, and its errors by subgroup, as figures. None shows a face.

Each function returns an `<svg>` for the page.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from utkface.data.labels import age_bin
from utkface.evaluation.measures import MEASURES, Measure, number
from utkface.evaluation.records import CalibrationBin, Estimate, Group, Row
from utkface.evaluation.report.svg import COLOUR, SMALL_TEXT_SIZE, WIDTH, new_figure, to_svg
from utkface.evaluation.report.text import attribute_title

MAX_ERROR_YEARS = 25  # the histogram's ends; what lies beyond is counted in its last bars
#: What is drawn of each group, side by side.
_PANELS = (("age_mae", "age"), ("gender_accuracy", "gender"))
_ROW_UNITS = 23
_MAX_LABEL_CHARS = 20  # in one line; longer ones would leave too little room for the panels


def draw_ages(faces: pd.DataFrame) -> Markup:
    """Draw predicted against true age: how dense the faces lie, and where most of an age lie."""
    true, read = faces["age"].to_numpy(float), faces["age_years"].to_numpy(float)
    figure, axes = new_figure(height=360)
    hexes = axes.hexbin(true, read, gridsize=(42, 26), extent=(0, 116, 0, 116), mincnt=1)
    counts = hexes.get_array()
    assert counts is not None
    # One colour, the denser the stronger: it works on light and dark paper alike.
    hexes.set(array=None, facecolor=COLOUR["age"], edgecolor="none")
    hexes.set_alpha(0.12 + 0.78 * np.log1p(counts) / np.log1p(counts.max()))
    axes.plot([0, 116], [0, 116], color=COLOUR["muted"], lw=1, ls=(0, (4, 3)))
    centres, low, middle, high = _quantiles_by_age(true, read)
    axes.plot(centres, middle, "o-", color=COLOUR["best"], lw=2, ms=4)
    for line in (low, high):
        axes.plot(centres, line, color=COLOUR["best"], lw=1.2, ls=":")
    axes.set(xlabel="true age, years", ylabel="predicted age, years", aspect="equal")
    axes.set(xlim=(0, 116), ylim=(0, 116))
    label = f"Predicted against true age of {len(faces)} predictions, with the median by age group"
    return to_svg(figure, "ages", label)


def _quantiles_by_age(true: np.ndarray, read: np.ndarray) -> tuple[list[float], ...]:
    """Return for each age group its mean age and the 10th, 50th and 90th of 100 predictions."""
    groups = age_bin(true)
    rows = []
    for group in np.unique(groups):
        inside = groups == group
        rows.append((true[inside].mean(), *np.quantile(read[inside], [0.1, 0.5, 0.9])))
    return tuple([float(value) for value in column] for column in zip(*rows, strict=True))


def draw_errors(faces: pd.DataFrame) -> Markup:
    """Draw how the errors of age are distributed, predicted minus true."""
    errors = (faces["age_years"] - faces["age"]).to_numpy(float)
    end = MAX_ERROR_YEARS
    edges = np.arange(-end - 0.5, end + 1.5)
    figure, axes = new_figure(height=360)
    shares = np.histogram(np.clip(errors, -end, end), edges)[0] / len(errors)
    axes.bar(edges[:-1] + 0.5, shares, width=0.82, color=COLOUR["age"], alpha=0.8)
    axes.axvline(0, color=COLOUR["muted"], lw=1)
    axes.axvline(float(np.median(errors)), color=COLOUR["best"], lw=2)
    axes.yaxis.set_major_formatter(in_percent())
    axes.set_xticks([-end, -15, -5, 0, 5, 15, end])
    axes.set_xticklabels([f"≤−{end}", "−15", "−5", "0", "5", "15", f"≥{end}"])
    axes.set(xlabel="predicted minus true age, years", ylabel="share of faces")
    label = f"Distribution of age errors; the median is {np.median(errors):.1f} years"
    return to_svg(figure, "errors", label)


def draw_confusion(confusion: Mapping[str, list[list[float]]]) -> Markup:
    """Draw by age group which share of men is read as women, and of women as men."""
    groups = {name: np.array(cells, float) for name, cells in confusion.items()}
    figure, axes = new_figure(height=70 + 30 * len(groups))
    places = np.arange(len(groups))[::-1]
    for gender, (role, shift) in enumerate((("male", 0.2), ("female", -0.2))):
        total = np.array([cells[gender].sum() for cells in groups.values()])
        wrong = np.array([cells[gender][1 - gender] for cells in groups.values()])
        share = np.divide(wrong, total, out=np.zeros_like(wrong), where=total > 0)
        axes.barh(places + shift, share, 0.36, color=COLOUR[role])
        for place, size, num_wrong, num_faces in zip(places, share, wrong, total, strict=True):
            text = f"{num_wrong:.0f} of {num_faces:.0f}" if num_faces else "none"
            axes.annotate(
                text, (size, place + shift), (4, 0), textcoords="offset points", va="center",
                fontsize=SMALL_TEXT_SIZE, color=COLOUR["muted"],
            )  # fmt: skip
    axes.set_yticks(places, list(groups))
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.22)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(in_percent())
    axes.set_xlabel("share read as the other gender")
    axes.set_ylabel("age, years", labelpad=8)
    return to_svg(figure, "confusion", f"Wrong genders by {len(groups)} age groups")


def draw_calibration(bins: Sequence[CalibrationBin]) -> Markup:
    """Draw how often a face of a given probability is a woman's: on the diagonal is honest."""
    filled = [b for b in bins if b.num_faces]
    figure, axes = new_figure(height=340)
    axes.plot([0, 1], [0, 1], color=COLOUR["muted"], lw=1, ls=(0, (4, 3)))
    said = [number(b.mean_probability) for b in filled]
    true = [number(b.share_female) for b in filled]
    num_faces = np.array([b.num_faces for b in filled])
    axes.plot(said, true, color=COLOUR["gender"], lw=1.2, alpha=0.6)
    sizes = 12 + 240 * np.sqrt(num_faces / num_faces.max())
    axes.scatter(said, true, sizes, color=COLOUR["gender"], alpha=0.75, linewidths=0)
    for x, y, n in zip(said, true, num_faces, strict=True):
        axes.annotate(
            f"{n:.0f}", (x, y), (0, 12 if x < 0.5 else -19), textcoords="offset points",
            ha="center", fontsize=SMALL_TEXT_SIZE, color=COLOUR["muted"],
        )  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(in_percent())
        axis.set_major_locator(MaxNLocator(5))
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.06, 1.06))
    axes.set(xlabel="probability of female that the model gives", ylabel="share that is female")
    return to_svg(figure, "calibration", f"Calibration of gender in {len(filled)} bins")


def draw_groups(row: Row, attribute: str) -> Markup:
    """Draw age error and gender accuracy by the groups of one attribute."""
    groups = row.subgroups[attribute]
    panels = [(MEASURES[name], role) for name, role in _PANELS]
    return _draw(row, groups, panels, attribute, f"by {attribute_title(attribute)}")


def draw_bias(row: Row) -> Markup:
    """Draw by age group whether faces are read as older or younger than they are."""
    return _draw(row, row.subgroups["age"], [(MEASURES["age_bias"], "age")], "bias", "bias by age")


def _draw(
    row: Row,
    groups: Sequence[Group],
    panels: Sequence[tuple[Measure, str]],
    name: str,
    what: str,
) -> Markup:
    labels = [_group_label(group) for group in groups]
    row_units = _ROW_UNITS + 12 * max(label.count("\n") for label in labels)
    figure = Figure(figsize=(WIDTH / 72, (80 + row_units * len(groups)) / 72), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (measure, role) in zip(axes, panels, strict=True):
        _draw_panel(panel, groups, measure, COLOUR[role])
        if measure.name == "age_bias":
            panel.axvline(0, color=COLOUR["muted"], lw=1)
        else:
            panel.axvline(_percent(measure, row.metric(measure.name)), color=COLOUR["best"], lw=1)
        panel.locator_params(axis="x", nbins=8 if len(panels) == 1 else 3)
        panel.set_xlabel(measure.heading)
    axes[0].set_yticks(range(len(groups)), labels)
    axes[0].set_ylim(len(groups) - 0.4, -0.6)  # the first group on top
    return to_svg(figure, f"groups-{name}", f"Errors {what} in {len(groups)} groups")


def _draw_panel(axes: Axes, groups: Sequence[Group], measure: Measure, colour: str) -> None:
    for place, group in enumerate(groups):
        estimate = getattr(group, measure.name)
        low, high = (_percent(measure, estimate, end) for end in ("low", "high"))
        axes.plot([low, high], [place, place], color=colour, lw=2, alpha=0.55)
        face = "none" if group.small else colour
        axes.plot(_percent(measure, estimate), place, "o", color=colour, mfc=face, ms=6)
    axes.grid(axis="y", visible=False)


def _percent(measure: Measure, estimate: Estimate, end: str = "value") -> float:
    return number(getattr(estimate, end)) * (100 if measure.is_share else 1)


def _group_label(group: Group) -> str:
    """Return a group's name and number of faces; one below the other where they are long."""
    name, num_faces = group.group, f"({group.num_faces})"
    is_long = len(name) + len(num_faces) > _MAX_LABEL_CHARS
    return f"{name}\n{num_faces}" if is_long else f"{name} {num_faces}"


def in_percent() -> PercentFormatter:
    """Return what writes an axis of shares."""
    return PercentFormatter(1, decimals=0, symbol=" %")
