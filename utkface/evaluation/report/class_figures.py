"""Age bins and genders as classes, and what is left of the errors, as figures; none shows a face.

Each function returns an `<svg>` for the page; None where one epoch makes no curve, one gender none.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm
from sklearn.metrics import precision_recall_curve, roc_curve

from utkface.data.labels import age_bin, bin_labels
from utkface.evaluation.report.figures import MAX_ERROR_YEARS, in_percent
from utkface.evaluation.report.svg import COLOUR, SMALL_TEXT_SIZE, new_figure, to_svg

_NUM_POINTS = 120  # of a curve: more than the eye can tell apart


def draw_age_confusion(confusion: Sequence[Sequence[float]]) -> Markup:
    """Draw which share of each true age bin is predicted in which bin."""
    counts = np.array(confusion, float)
    labels, num_bins = bin_labels(), len(counts)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    figure, axes = new_figure(height=340)
    for true, predicted in np.argwhere(shares >= 0.005):
        share = shares[true, predicted]
        corner = (predicted - 0.5, true - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, color=COLOUR["age"], alpha=0.7 * share, lw=0))
        axes.annotate(
            f"{100 * share:.0f}", (predicted, true), ha="center", va="center",
            fontsize=SMALL_TEXT_SIZE,
        )  # fmt: skip
    places = range(num_bins)
    axes.set_xticks(places, labels, rotation=60)
    axes.set_yticks(places, labels)
    axes.set(xlim=(-0.5, num_bins - 0.5), ylim=(num_bins - 0.5, -0.5))
    axes.set(xlabel="predicted age, years", ylabel="true age, years")
    axes.grid(visible=False)
    return to_svg(figure, "age-confusion", f"Confusion of {num_bins} age bins, in per cent")


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
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(in_percent())
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up)
    return to_svg(figure, name, f"{up} against {across} over all thresholds")


def draw_error_quantiles(faces: pd.DataFrame) -> Markup:
    """Draw the errors' quantiles against a normal distribution's of their mean and deviation."""
    errors = (faces["age_years"] - faces["age"]).to_numpy(float)
    probabilities = np.linspace(0, 1, _NUM_POINTS + 2)[1:-1]
    normal = norm.ppf(probabilities, errors.mean(), errors.std())
    figure, axes = new_figure(height=300)
    ends = [normal[0], normal[-1]]
    axes.plot(ends, ends, color=COLOUR["muted"], lw=1, ls=(0, (4, 3)))
    axes.plot(normal, np.quantile(errors, probabilities), ".", color=COLOUR["age"], ms=5)
    axes.set(xlabel="error of a normal distribution, years", ylabel="error, years")
    return to_svg(figure, "error-quantiles", "Quantiles of age errors against a normal's")


def draw_error_shares(faces: pd.DataFrame) -> Markup:
    """Draw which share of ages is read within how many years."""
    distances = np.sort((faces["age_years"] - faces["age"]).abs().to_numpy(float))
    years = np.linspace(0, MAX_ERROR_YEARS, _NUM_POINTS)
    shares = np.searchsorted(distances, years, side="right") / len(distances)
    figure, axes = new_figure(height=300)
    axes.plot(years, shares, color=COLOUR["age"], lw=2)
    for share in (0.5, 0.9):
        within = float(np.quantile(distances, share))
        if within <= MAX_ERROR_YEARS:
            axes.plot(within, share, "o", color=COLOUR["best"])
            axes.annotate(
                f"{100 * share:.0f} % within {within:.1f}", (within, share), (8, -14),
                textcoords="offset points", fontsize=SMALL_TEXT_SIZE,
            )  # fmt: skip
    axes.yaxis.set_major_formatter(in_percent())
    axes.set(xlabel="years", ylabel="share of faces read within them", ylim=(0, 1.02))
    return to_svg(figure, "error-shares", "Share of faces by the size of their age error")


def draw_error_boxes(faces: pd.DataFrame) -> Markup:
    """Draw median, quarters, and 5th and 95th of 100 errors, by age bin."""
    errors = (faces["age_years"] - faces["age"]).to_numpy(float)
    bins = age_bin(faces["age"])
    present = np.unique(bins)
    figure, axes = new_figure(height=300)
    axes.axhline(0, color=COLOUR["muted"], lw=1)
    line = {"color": COLOUR["age"], "lw": 1.4}
    axes.boxplot(
        [errors[bins == number] for number in present], positions=present, widths=0.6,
        whis=(5, 95), showfliers=False, boxprops=line, whiskerprops=line, capprops=line,
        medianprops={"color": COLOUR["best"], "lw": 2}, manage_ticks=False,
    )  # fmt: skip
    labels = bin_labels()
    axes.set_xticks(present, [labels[number] for number in present], rotation=60)
    axes.set(xlabel="true age, years", ylabel="predicted minus true age, years")
    return to_svg(figure, "error-boxes", f"Age errors by {len(present)} age bins")


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
