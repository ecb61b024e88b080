"""The evaluation as one HTML file to read from top to bottom, and its figures as files.

``evaluation.html`` may show faces (the LIME sheets) and stays on the machine that made it. Beside
it are written ``evaluation_without_faces.html``, the same without those sheets, which may be
published, and ``figures/*.svg``.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from utkface.data.labels import GENDERS
from utkface.evaluation.hardest import hardest_faces
from utkface.evaluation.published import PUBLISHED
from utkface.evaluation.report import words
from utkface.evaluation.report.figures import (
    draw_ages,
    draw_calibration,
    draw_confusion,
    draw_errors,
)
from utkface.evaluation.report.group_figures import draw_bias, draw_groups
from utkface.evaluation.report.html import write_page
from utkface.evaluation.report.measures import MEASURES, attribute_title, overall, part
from utkface.evaluation.report.svg import drawing_style, standalone
from utkface.evaluation.report.verdicts import COMPARED, find_verdicts
from utkface.io import replacing

PAGE = "evaluation.html"
PAGE_WITHOUT_FACES = "evaluation_without_faces.html"
_TEMPLATE = Path(__file__).parent / "evaluation.html.j2"
_IMAGE_TYPES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".svg": "svg+xml"}
_NUM_HARDEST = 12
#: These are drawn with the headline's groups; products of two attributes are tables only.
_DRAWN_ATTRIBUTES = (
    "age", "gender", "race", "luminance", "brisque", "laplacian_variance",
    "high_frequency_energy", "colour_variance", "contrast",
)  # fmt: skip


def write_evaluation_report(
    evaluation: dict[str, Any],
    predictions: pd.DataFrame,
    folder: Path,
    sheets: Mapping[str, Path],
) -> Path:
    """Write an evaluation for people to read into ``folder``; return the path of the page.

    evaluation: what ``evaluation.json`` holds, each row as `evaluate_row` gives it; predictions:
    one row per label, protocol, part, seed and face; sheets: pictures of explained faces by title.
    Whatever is missing is left out. Raises `UserError` where the folder cannot be written.
    """
    headlines = words.find_headlines(evaluation.get("rows") or [])
    shown = headlines[0] if headlines else {}
    faces = select_predictions(predictions, shown)
    with drawing_style():
        figures = _draw(shown, faces)
    for name, svg in figures.items():
        with replacing(folder / "figures" / f"{name}.svg") as temporary:
            temporary.write_text(standalone(svg), encoding="utf-8")
    context = {
        **_context(evaluation, headlines, shown),
        "figures": figures,
        "group_figures": {n: figures[f"groups_{n}"] for n in _drawn(figures)},
        **_hardest(faces),
    }
    write_page(folder / PAGE_WITHOUT_FACES, _TEMPLATE, {**context, "sheets": []})
    return write_page(folder / PAGE, _TEMPLATE, {**context, "sheets": _embed(sheets)})


def select_predictions(predictions: pd.DataFrame, row: Mapping[str, Any]) -> pd.DataFrame:
    """Return the predictions of one row of the evaluation, all seeds."""
    keys = ("label", "protocol", "part")
    if predictions.empty or any(key not in predictions for key in keys):
        return pd.DataFrame()
    wanted = [predictions[key] == row.get(key) for key in keys]
    return predictions[wanted[0] & wanted[1] & wanted[2]]


def _draw(row: Mapping[str, Any], faces: pd.DataFrame) -> dict[str, Markup]:
    """Return all figures of one row by name, without those that have nothing to show."""
    drawn = {
        "ages": draw_ages(faces),
        "errors": draw_errors(faces),
        "bias": draw_bias(row),
        "confusion": draw_confusion(row.get("confusion") or {}),
        "calibration": draw_calibration(row.get("calibration") or []),
        **{f"groups_{name}": draw_groups(row, name) for name in _DRAWN_ATTRIBUTES},
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _drawn(figures: Mapping[str, Markup]) -> list[str]:
    return [name for name in _DRAWN_ATTRIBUTES if f"groups_{name}" in figures]


def _context(
    evaluation: Mapping[str, Any],
    headlines: list[Mapping[str, Any]],
    shown: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the template shows besides figures and faces."""
    rows = words.order_rows(evaluation.get("rows") or [])
    protocols = [str(row.get("protocol")) for row in headlines]
    return {
        "evaluation": evaluation,
        "is_demo": bool((evaluation.get("data") or {}).get("is_demo")),
        "facts": words.facts(evaluation),
        "headlines": headlines,
        "was_chosen": all(row.get("headline") for row in headlines),
        "shown": shown,
        "tables": _tables(rows, words.order_rows(evaluation.get("baselines") or [])),
        "published": PUBLISHED,
        "protocols": [(name, words.PROTOCOLS.get(name, "")) for name in protocols],
        "leak": words.leak_sentence(evaluation),
        "spreads": [words.spread_sentence(row) for row in headlines],
        "paired": [
            (pair, find_verdicts(pair))
            for pair in words.order_pairs(evaluation.get("paired") or [])
        ],
        "compared": COMPARED,
        "rows": rows,
        "explanations": evaluation.get("explanations") or {},
        "measures": MEASURES,
        "attribute_title": attribute_title,
        "overall": overall,
        "part": part,
        "words": words,
    }


def _tables(
    rows: list[Mapping[str, Any]], baselines: list[Mapping[str, Any]]
) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the rows by part and protocol, each with its baselines below, under a title."""
    tables: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in [*rows, *baselines]:
        key = (str(row.get("part")), str(row.get("protocol")))
        tables.setdefault(key, []).append(row)
    return [(f"{part} part, {protocol} split", found) for (part, protocol), found in tables.items()]


def _hardest(faces: pd.DataFrame) -> dict[str, Any]:
    """Return the faces that a model gets most wrong, as rows of two tables."""
    if faces.empty:
        return {"hardest_ages": [], "hardest_genders": []}
    first = faces[faces["seed"] == faces["seed"].iloc[0]].set_index("file")
    ages, probabilities = (
        faces.pivot_table(index="seed", columns="file", values=name)[first.index]
        for name in ("age_years", "gender_probability")
    )
    hardest = hardest_faces(
        first.reset_index(), ages.to_numpy(), probabilities.to_numpy(), _NUM_HARDEST
    )
    table = pd.DataFrame(
        {
            "file": first.index,
            "age": first["age"].to_numpy(),
            "gender": [GENDERS[int(gender)] for gender in first["gender"]],
            "age_years": ages.mean().to_numpy(),
            "probability": probabilities.mean().to_numpy(),
        }
    )
    return {
        "hardest_ages": table.iloc[hardest.ages].to_dict("records"),
        "hardest_genders": table.iloc[hardest.genders].to_dict("records"),
    }


def _embed(sheets: Mapping[str, Path]) -> list[tuple[str, str]]:
    """Return each sheet's title and its content as a data URI, without those that are not there."""
    embedded = []
    for title, path in sheets.items():
        kind = _IMAGE_TYPES.get(path.suffix.lower())
        if kind and path.is_file():
            content = base64.b64encode(path.read_bytes()).decode()
            embedded.append((title, f"data:image/{kind};base64,{content}"))
    return embedded
