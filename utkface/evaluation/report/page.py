"""The evaluation as one HTML file to read from top to bottom, and its figures as files.

``evaluation.html`` may show faces (the LIME sheets) and stays on the machine that made it. Beside
it are written ``evaluation_without_faces.html``, the same without those sheets, which may be
published, and ``figures/*.svg``.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from utkface.data.labels import GENDERS, bin_labels
from utkface.evaluation.evaluate import describe_faces, find_hardest
from utkface.evaluation.measures import COMPARED, MEASURES, ONE_SEED, compare
from utkface.evaluation.metrics import class_scores
from utkface.evaluation.photo_measures import PHOTO_MEASURES
from utkface.evaluation.records import BaselineRow, Evaluation, Row
from utkface.evaluation.report import class_figures, findings
from utkface.evaluation.report.figures import (
    draw_ages,
    draw_bias,
    draw_calibration,
    draw_confusion,
    draw_errors,
    draw_groups,
)
from utkface.evaluation.report.svg import drawing_style, standalone
from utkface.evaluation.report.text import attribute_title, write_page
from utkface.io import replacing

PAGE = "evaluation.html"
PAGE_WITHOUT_FACES = "evaluation_without_faces.html"
_TEMPLATE = Path(__file__).parent / "evaluation.html.j2"
_NUM_HARDEST = 12
#: These are drawn with the headline's groups; products of two attributes are tables only.
_DRAWN_ATTRIBUTES = ("age", "gender", "race", *PHOTO_MEASURES, "poor_quality")


def write_evaluation_report(
    evaluation: Evaluation,
    predictions: pd.DataFrame,
    folder: Path,
    sheets: Mapping[str, Path],
) -> Path:
    """Write an evaluation for people to read into ``folder``; return the path of the page.

    evaluation: with a row at least; predictions: one row per label, protocol, part, seed and face
    of every row; sheets: pictures of explained faces by title. Raises `UserError` where the folder
    cannot be written.
    """
    headlines = findings.find_headlines(evaluation.rows)
    shown = headlines[0]
    keys = ["label", "protocol", "part"]
    faces = predictions[(predictions[keys] == [getattr(shown, key) for key in keys]).all(axis=1)]
    with drawing_style():
        figures = _draw(shown, faces)
    note = "drawn demo faces" if evaluation.data.is_demo else ""
    for name, svg in figures.items():
        with replacing(folder / "figures" / f"{name}.svg") as temporary:
            temporary.write_text(standalone(svg, note), encoding="utf-8")
    context = {
        **_context(evaluation, headlines),
        "figures": figures,
        "group_figures": {
            name: figures[f"groups_{name}"] for name in _DRAWN_ATTRIBUTES if name in shown.subgroups
        },
        **_hardest(faces),
    }
    write_page(folder / PAGE_WITHOUT_FACES, _TEMPLATE, {**context, "sheets": []})
    return write_page(folder / PAGE, _TEMPLATE, {**context, "sheets": _embed(sheets)})


def _draw(row: Row, faces: pd.DataFrame) -> dict[str, Markup]:
    """Return all figures of one row by name, without those that have nothing to show."""
    drawn = {
        "ages": draw_ages(faces),
        "errors": draw_errors(faces),
        "error_shares": class_figures.draw_error_shares(faces),
        "error_boxes": class_figures.draw_error_boxes(faces),
        "error_quantiles": class_figures.draw_error_quantiles(faces),
        "age_confusion": class_figures.draw_age_confusion(row.age_confusion),
        "bias": draw_bias(row),
        "confusion": draw_confusion(row.confusion),
        "calibration": draw_calibration(row.calibration),
        "roc": class_figures.draw_roc(faces),
        "precision_recall": class_figures.draw_precision_recall(faces),
        "learning": class_figures.draw_learning(row.train_losses),
        **{
            f"groups_{name}": draw_groups(row, name)
            for name in _DRAWN_ATTRIBUTES
            if name in row.subgroups  # not every machine measures quality, or all of it
        },
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _context(evaluation: Evaluation, headlines: list[Row]) -> dict[str, Any]:
    """Return what the template shows besides figures and faces."""
    rows, shown = findings.order_rows(evaluation.rows), headlines[0]
    return {
        "evaluation": evaluation,
        "is_demo": evaluation.data.is_demo,
        "facts": findings.facts(evaluation),
        "headlines": headlines,
        "choice": findings.choice_sentence(shown, evaluation.search, evaluation.search_split),
        "shown": shown,
        **_classes(shown),
        "settings": shown.config.model_dump(exclude_unset=True),
        "tables": _tables(rows, findings.order_rows(evaluation.baselines)),
        "published": findings.PUBLISHED,
        "protocols": [
            (row.protocol, findings.protocol_sentence(row.protocol, row.part)) for row in headlines
        ],
        "leak": findings.leak_sentence(evaluation),
        "spreads": [findings.spread_sentence(row) for row in headlines],
        "paired": [(pair, compare(pair)) for pair in findings.order_pairs(evaluation.paired)],
        "compared": COMPARED,
        "one_seed": ONE_SEED,
        "rows": rows,
        "explanations": evaluation.explanations,
        "measures": MEASURES,
        "genders": GENDERS,
        "attribute_title": attribute_title,
        "findings": findings,
        "limits": findings.limits(evaluation.data),
    }


def _classes(row: Row) -> dict[str, Any]:
    """Return how well each age bin and each gender is told from the others."""
    by_gender = np.sum(list(row.confusion.values()), axis=0)
    return {
        "age_classes": class_scores(row.age_confusion, bin_labels()),
        "gender_classes": class_scores(by_gender, GENDERS),
        "gender_counts": by_gender.tolist(),
    }


def _tables(
    rows: list[Row], baselines: list[BaselineRow]
) -> list[tuple[str, list[Row | BaselineRow]]]:
    """Return the rows by part and protocol, each with its baselines below, under a title."""
    tables: dict[tuple[str, str], list[Row | BaselineRow]] = {}
    every: list[Row | BaselineRow] = [*rows, *baselines]
    for row in every:
        tables.setdefault((row.part, row.protocol), []).append(row)
    return [(f"{part} part, {protocol} split", found) for (part, protocol), found in tables.items()]


def _hardest(faces: pd.DataFrame) -> dict[str, Any]:
    """Return the faces that a model gets most wrong, as rows of two tables."""
    table = faces[faces["seed"] == faces["seed"].iloc[0]]
    ages, probabilities = (
        faces.pivot_table(index="seed", columns="file", values=name)[table["file"]].to_numpy()
        for name in ("age_years", "gender_probability")
    )
    hardest = find_hardest(table, ages, probabilities, _NUM_HARDEST)
    return {
        f"hardest_{name}": describe_faces(table, ages, probabilities, rows)
        for name, rows in hardest._asdict().items()
    }


def _embed(sheets: Mapping[str, Path]) -> list[tuple[str, str]]:
    """Return each sheet's title and its content as a data URI, without those that are not there."""
    return [
        (title, f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}")
        for title, path in sheets.items()
        if path.is_file()
    ]
