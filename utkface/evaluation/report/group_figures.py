"""Errors by subgroup as figures: a dot with its 95 % interval for each group."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utkface.evaluation.report.measures import (
    MEASURES,
    Measure,
    attribute_title,
    overall,
    part,
)
from utkface.evaluation.report.svg import COLOUR, WIDTH, to_svg

#: What is drawn of each group, side by side.
_PANELS = (("age_mae", "age"), ("gender_accuracy", "gender"))
_ROW_UNITS = 23
_MAX_LABEL_CHARS = 20  # in one line; longer ones would leave too little room for the panels


def draw_groups(row: Mapping[str, Any], attribute: str) -> Markup | None:
    """Draw age error and gender accuracy by the groups of one attribute, None without groups."""
    groups = (row.get("subgroups") or {}).get(attribute) or []
    panels = [(MEASURES[name], role) for name, role in _PANELS]
    return _draw(row, groups, panels, attribute, f"by {attribute_title(attribute)}")


def draw_bias(row: Mapping[str, Any]) -> Markup | None:
    """Draw by age group whether faces are read as older or younger than they are."""
    groups = (row.get("subgroups") or {}).get("age") or []
    return _draw(row, groups, [(MEASURES["age_bias"], "age")], "bias", "bias by age")


def _draw(
    row: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    panels: Sequence[tuple[Measure, str]],
    name: str,
    words: str,
) -> Markup | None:
    if not groups:
        return None
    labels = [_group_label(group) for group in groups]
    row_units = _ROW_UNITS + 12 * max(label.count("\n") for label in labels)
    figure = Figure(figsize=(WIDTH / 72, (80 + row_units * len(groups)) / 72), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (measure, role) in zip(axes, panels, strict=True):
        _draw_panel(panel, groups, measure, COLOUR[role])
        if measure.name == "age_bias":
            panel.axvline(0, color=COLOUR["muted"], lw=1)
        else:
            panel.axvline(_percent(measure, overall(row, measure.name)), color=COLOUR["best"], lw=1)
        panel.locator_params(axis="x", nbins=8 if len(panels) == 1 else 3)
        panel.set_xlabel(measure.heading)
    axes[0].set_yticks(range(len(groups)), labels)
    axes[0].set_ylim(len(groups) - 0.4, -0.6)  # the first group on top
    return to_svg(figure, f"groups-{name}", f"Errors {words} in {len(groups)} groups")


def _draw_panel(
    axes: Axes, groups: Sequence[Mapping[str, Any]], measure: Measure, colour: str
) -> None:
    for place, group in enumerate(groups):
        estimate = group.get(measure.name)
        low, high = (_percent(measure, estimate, end) for end in ("low", "high"))
        axes.plot([low, high], [place, place], color=colour, lw=2, alpha=0.55)
        face = "none" if group.get("small") else colour
        axes.plot(_percent(measure, estimate), place, "o", color=colour, mfc=face, ms=6)
    axes.grid(axis="y", visible=False)


def _percent(measure: Measure, estimate: Any, name: str = "value") -> float:
    return part(estimate, name) * (100 if measure.is_share else 1)


def _group_label(group: Mapping[str, Any]) -> str:
    """Return a group's name and number of faces; one below the other where they are long."""
    name, num_faces = str(group.get("group")), f"({group.get('num_faces', '?')})"
    is_long = len(name) + len(num_faces) > _MAX_LABEL_CHARS
    return f"{name}\n{num_faces}" if is_long else f"{name} {num_faces}"
