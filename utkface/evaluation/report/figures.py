"""A model's predictions, and its errors by subgroup, as figures. None shows a face.

Each function returns an `<svg>` for the page; None where one epoch makes no curve, one gender none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import precision_recall_curve, roc_curve

from utkface.data.labels import age_bin, bin_labels
from utkface.evaluation.measures import MEASURES, number
from utkface.evaluation.records import CalibrationBin, Row
from utkface.evaluation.report.svg import COLOUR, SMALL_TEXT_SIZE, WIDTH, new_figure, to_svg
from utkface.evaluation.report.text import attribute_title

_MAX_ERROR_YEARS = 25  # the histogram's ends; what lies beyond is counted in its last bars
_NUM_POINTS = 120  # of a curve: more than the eye can tell apart
_ROW_UNITS = 23
_MAX_LABEL_CHARS = 20  # in one line; longer ones would leave too little room for the panels
_DASHED: dict[str, Any] = {"color": COLOUR["muted"], "lw": 1, "ls": (0, (4, 3))}


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
    axes.plot([0, 116], [0, 116], **_DASHED)
    by_group = [(true[rows], read[rows]) for rows in _rows_by_bin(true).values()]
    centres = [ages.mean() for ages, _ in by_group]
    low, middle, high = np.transpose([np.quantile(r, [0.1, 0.5, 0.9]) for _, r in by_group])
    axes.plot(centres, middle, "o-", color=COLOUR["best"], lw=2, ms=4)
    for line in (low, high):
        axes.plot(centres, line, color=COLOUR["best"], lw=1.2, ls=":")
    axes.set(xlabel="true age, years", ylabel="predicted age, years", aspect="equal")
    axes.set(xlim=(0, 116), ylim=(0, 116))
    label = f"Predicted against true age of {len(faces)} predictions, with the median by age group"
    return to_svg(figure, "ages", label)


def draw_errors(faces: pd.DataFrame) -> Markup:
    """Draw how the errors of age are distributed, predicted minus true."""
    errors, end = _age_errors(faces), _MAX_ERROR_YEARS
    edges = np.arange(-end - 0.5, end + 1.5)
    figure, axes = new_figure(height=360)
    shares = np.histogram(np.clip(errors, -end, end), edges)[0] / len(errors)
    axes.bar(edges[:-1] + 0.5, shares, width=0.82, color=COLOUR["age"], alpha=0.8)
    axes.axvline(0, color=COLOUR["muted"], lw=1)
    axes.axvline(float(np.median(errors)), color=COLOUR["best"], lw=2)
    axes.yaxis.set_major_formatter(_in_percent())
    axes.set_xticks([-end, -15, -5, 0, 5, 15, end])
    axes.set_xticklabels([f"≤−{end}", "−15", "−5", "0", "5", "15", f"≥{end}"])
    axes.set(xlabel="predicted minus true age, years", ylabel="share of faces")
    label = f"Distribution of age errors; the median is {np.median(errors):.1f} years"
    return to_svg(figure, "errors", label)


def draw_error_shares(faces: pd.DataFrame) -> Markup:
    """Draw which share of ages is read within how many years."""
    distances = np.sort(np.abs(_age_errors(faces)))
    years = np.linspace(0, _MAX_ERROR_YEARS, _NUM_POINTS)
    shares = np.searchsorted(distances, years, side="right") / len(distances)
    figure, axes = new_figure(height=300)
    axes.plot(years, shares, color=COLOUR["age"], lw=2)
    for share in (0.5, 0.9):
        within = float(np.quantile(distances, share))
        if within <= _MAX_ERROR_YEARS:
            axes.plot(within, share, "o", color=COLOUR["best"])
            axes.annotate(
                f"{100 * share:.0f} % within {within:.1f}", (within, share), (8, -14),
                textcoords="offset points", fontsize=SMALL_TEXT_SIZE,
            )  # fmt: skip
    axes.yaxis.set_major_formatter(_in_percent())
    axes.set(xlabel="years", ylabel="share of faces read within them", ylim=(0, 1.02))
    return to_svg(figure, "error-shares", "Share of faces by the size of their age error")


def draw_error_boxes(faces: pd.DataFrame) -> Markup:
    """Draw median, quarters, and 5th and 95th of 100 errors, by age bin."""
    errors, labels = _age_errors(faces), bin_labels()
    rows_by_bin = _rows_by_bin(faces["age"].to_numpy())
    figure, axes = new_figure(height=300)
    axes.axhline(0, color=COLOUR["muted"], lw=1)
    line = {"color": COLOUR["age"], "lw": 1.4}
    axes.boxplot(
        [errors[rows] for rows in rows_by_bin.values()], positions=[*rows_by_bin], widths=0.6,
        whis=(5, 95), showfliers=False, boxprops=line, whiskerprops=line, capprops=line,
        medianprops={"color": COLOUR["best"], "lw": 2}, manage_ticks=False,
    )  # fmt: skip
    axes.set_xticks([*rows_by_bin], [labels[number] for number in rows_by_bin], rotation=60)
    axes.set(xlabel="true age, years", ylabel="predicted minus true age, years")
    return to_svg(figure, "error-boxes", f"Age errors by {len(rows_by_bin)} age bins")


def draw_error_quantiles(faces: pd.DataFrame) -> Markup:
    """Draw the errors' quantiles against a normal distribution's of their mean and deviation."""
    errors = _age_errors(faces)
    probabilities = np.linspace(0, 1, _NUM_POINTS + 2)[1:-1]
    normal = norm.ppf(probabilities, errors.mean(), errors.std())
    figure, axes = new_figure(height=300)
    axes.plot(normal[[0, -1]], normal[[0, -1]], **_DASHED)
    axes.plot(normal, np.quantile(errors, probabilities), ".", color=COLOUR["age"], ms=5)
    axes.set(xlabel="error of a normal distribution, years", ylabel="error, years")
    return to_svg(figure, "error-quantiles", "Quantiles of age errors against a normal's")


def draw_age_confusion(confusion: Sequence[Sequence[float]]) -> Markup:
    """Draw which share of each true age bin is predicted in which bin."""
    counts = np.array(confusion, float)
    labels, num_bins = bin_labels(), len(counts)
    shares = _divide(counts, counts.sum(axis=1, keepdims=True))
    figure, axes = new_figure(height=340)
    for true, predicted in np.argwhere(shares >= 0.005):
        share = shares[true, predicted]
        corner = (predicted - 0.5, true - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, color=COLOUR["age"], alpha=0.7 * share, lw=0))
        axes.annotate(
            f"{100 * share:.0f}", (predicted, true), ha="center", va="center",
            fontsize=SMALL_TEXT_SIZE,
        )  # fmt: skip
    axes.set_xticks(range(num_bins), labels, rotation=60)
    axes.set_yticks(range(num_bins), labels)
    axes.set(xlim=(-0.5, num_bins - 0.5), ylim=(num_bins - 0.5, -0.5))
    axes.set(xlabel="predicted age, years", ylabel="true age, years")
    axes.grid(visible=False)
    return to_svg(figure, "age-confusion", f"Confusion of {num_bins} age bins, in per cent")


def draw_confusion(confusion: Mapping[str, list[list[float]]]) -> Markup:
    """Draw by age group which share of men is read as women, and of women as men."""
    cells = np.array([*confusion.values()], float)  # (groups, true, read)
    figure, axes = new_figure(height=70 + 30 * len(cells))
    places = np.arange(len(cells))[::-1]
    for gender, (role, shift) in enumerate((("male", 0.2), ("female", -0.2))):
        total, wrong = cells[:, gender].sum(axis=1), cells[:, gender, 1 - gender]
        shares = _divide(wrong, total)
        axes.barh(places + shift, shares, 0.36, color=COLOUR[role])
        for place, share, num_wrong, num_faces in zip(places, shares, wrong, total, strict=True):
            text = f"{num_wrong:.0f} of {num_faces:.0f}" if num_faces else "none"
            axes.annotate(
                text, (share, place + shift), (4, 0), textcoords="offset points", va="center",
                fontsize=SMALL_TEXT_SIZE, color=COLOUR["muted"],
            )  # fmt: skip
    axes.set_yticks(places, list(confusion))
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.22)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(_in_percent())
    axes.set_xlabel("share read as the other gender")
    axes.set_ylabel("age, years", labelpad=8)
    return to_svg(figure, "confusion", f"Wrong genders by {len(cells)} age groups")


def draw_calibration(bins: Sequence[CalibrationBin]) -> Markup:
    """Draw how often a face of a given probability is a woman's: on the diagonal is honest."""
    filled = [b for b in bins if b.num_faces]
    figure, axes = new_figure(height=340)
    axes.plot([0, 1], [0, 1], **_DASHED)
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
    _set_share_axes(axes)
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.06, 1.06))
    axes.set(xlabel="probability of female that the model gives", ylabel="share that is female")
    return to_svg(figure, "calibration", f"Calibration of gender in {len(filled)} bins")


def draw_roc(faces: pd.DataFrame) -> Markup | None:
    """Draw the share of women called female against that of men, over all thresholds, by seed."""
    return _draw_thresholds(
        faces, "roc", "male faces called female", "female faces called female", roc_curve
    )


def draw_precision_recall(faces: pd.DataFrame) -> Markup | None:
    """Draw precision against recall of calling a face female, over all thresholds, by seed."""

    def curve(true: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        precision, recall, _ = precision_recall_curve(true, probability)
        return recall[::-1], precision[::-1]

    return _draw_thresholds(faces, "precision-recall", "recall", "precision", curve)


def _draw_thresholds(
    faces: pd.DataFrame, name: str, across: str, up: str, curve: Callable[..., Sequence[np.ndarray]]
) -> Markup | None:
    if faces["gender"].nunique() < 2:
        return None
    figure, axes = new_figure(height=300)
    grid = np.linspace(0, 1, _NUM_POINTS)
    for _, of_seed in faces.groupby("seed"):
        x, y, *_ = curve(of_seed["gender"] == 1, of_seed["gender_probability"])
        axes.plot(grid, np.interp(grid, x, y), color=COLOUR["gender"], lw=1.5, alpha=0.8)
    _set_share_axes(axes)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up)
    return to_svg(figure, name, f"{up} against {across} over all thresholds")


def draw_groups(row: Row, attribute: str) -> Markup:
    """Draw age error and gender accuracy by the groups of one attribute."""
    what = f"by {attribute_title(attribute)}"
    return _draw_panels(row, attribute, ("age_mae", "gender_accuracy"), attribute, what)


def draw_bias(row: Row) -> Markup:
    """Draw by age group whether faces are read as older or younger than they are."""
    return _draw_panels(row, "age", ("age_bias",), "bias", "bias by age")


def _draw_panels(row: Row, attribute: str, metrics: Sequence[str], name: str, what: str) -> Markup:
    """Draw metrics side by side, in each a line per group and one down for all faces."""
    groups, labels = row.subgroups[attribute], []
    for group in groups:
        is_long = len(f"{group.group}({group.num_faces})") > _MAX_LABEL_CHARS
        labels.append(group.group + ("\n" if is_long else " ") + f"({group.num_faces})")
    row_units = _ROW_UNITS + 12 * max(label.count("\n") for label in labels)
    figure = Figure(figsize=(WIDTH / 72, (80 + row_units * len(groups)) / 72), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        measure, colour = MEASURES[metric], COLOUR["gender" if "gender" in metric else "age"]
        scale = 100 if measure.is_share else 1
        for place, group in enumerate(groups):
            estimate = getattr(group, metric)
            value, low, high = (
                scale * number(end) for end in (estimate.value, estimate.low, estimate.high)
            )
            axes.plot([low, high], [place, place], color=colour, lw=2, alpha=0.55)
            face = "none" if group.small else colour
            axes.plot(value, place, "o", color=colour, mfc=face, ms=6)
        axes.grid(axis="y", visible=False)
        if metric == "age_bias":
            axes.axvline(0, color=COLOUR["muted"], lw=1)
        else:
            axes.axvline(scale * number(row.metric(metric).value), color=COLOUR["best"], lw=1)
        axes.locator_params(axis="x", nbins=8 if len(metrics) == 1 else 3)
        axes.set_xlabel(measure.heading)
    panels[0].set_yticks(range(len(groups)), labels)
    panels[0].set_ylim(len(groups) - 0.4, -0.6)  # the first group on top
    return to_svg(figure, f"groups-{name}", f"Errors {what} in {len(groups)} groups")


def draw_learning(train_losses: Sequence[Sequence[float]]) -> Markup | None:
    """Draw each seed's training loss after every epoch."""
    curves = [losses for losses in train_losses if len(losses) > 1]
    if not curves:
        return None
    figure, axes = new_figure(height=260)
    for losses in curves:
        axes.plot(range(1, len(losses) + 1), losses, color=COLOUR["complete"], lw=1.5, alpha=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set(xlabel="epoch", ylabel="training loss")
    return to_svg(figure, "learning", f"Training loss of {len(curves)} seeds by epoch")


def _age_errors(faces: pd.DataFrame) -> NDArray[np.float64]:
    return (faces["age_years"] - faces["age"]).to_numpy(float)


def _rows_by_bin(ages: np.ndarray) -> dict[int, NDArray[np.int64]]:
    """Return the rows of the faces in each age bin that has any."""
    bins = age_bin(ages)
    return {int(number): np.flatnonzero(bins == number) for number in np.unique(bins)}


def _divide(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return parts as shares of their wholes, 0 of nothing."""
    return np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)


def _in_percent() -> PercentFormatter:
    return PercentFormatter(1, decimals=0, symbol=" %")


def _set_share_axes(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_in_percent())
        axis.set_major_locator(MaxNLocator(5))
