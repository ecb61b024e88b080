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
from utkface.evaluation.report import figures as draw
from utkface.evaluation.report import findings
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
    # Not every machine measures quality, or all of it.
    attributes = [name for name in _DRAWN_ATTRIBUTES if name in shown.subgroups]
    with drawing_style():
        figures = _draw(shown, faces)
        by_group = {name: draw.draw_groups(shown, name) for name in attributes}
    note = "drawn demo faces" if evaluation.data.is_demo else ""
    files = figures | {f"groups_{name}": svg for name, svg in by_group.items()}
    for name, svg in files.items():
        with replacing(folder / "figures" / f"{name}.svg") as temporary:
            temporary.write_text(standalone(svg, note), encoding="utf-8")
    context = _context(evaluation, headlines) | _hardest(faces)
    context |= {"figures": figures, "group_figures": by_group}
    write_page(folder / PAGE_WITHOUT_FACES, _TEMPLATE, {**context, "sheets": []})
    return write_page(folder / PAGE, _TEMPLATE, {**context, "sheets": _embed(sheets)})


def _draw(row: Row, faces: pd.DataFrame) -> dict[str, Markup]:
    """Return the figures of one row by name, without those that have nothing to show."""
    drawn = {
        "ages": draw.draw_ages(faces),
        "errors": draw.draw_errors(faces),
        "error_shares": draw.draw_error_shares(faces),
        "error_boxes": draw.draw_error_boxes(faces),
        "error_quantiles": draw.draw_error_quantiles(faces),
        "age_confusion": draw.draw_age_confusion(row.age_confusion),
        "bias": draw.draw_bias(row),
        "confusion": draw.draw_confusion(row.confusion),
        "calibration": draw.draw_calibration(row.calibration),
        "roc": draw.draw_roc(faces),
        "precision_recall": draw.draw_precision_recall(faces),
        "learning": draw.draw_learning(row.train_losses),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _context(evaluation: Evaluation, headlines: list[Row]) -> dict[str, Any]:
    """Return what the template shows besides figures and faces."""
    rows, shown = findings.order_rows(evaluation.rows), headlines[0]
    tables: dict[str, list[Row | BaselineRow]] = {}
    judged: list[Row | BaselineRow] = [*rows, *findings.order_rows(evaluation.baselines)]
    for row in judged:
        tables.setdefault(f"{row.part} part, {row.protocol} split", []).append(row)
    by_gender = np.sum(list(shown.confusion.values()), axis=0)
    return {
        "evaluation": evaluation,
        "is_demo": evaluation.data.is_demo,
        "headlines": headlines,
        "shown": shown,
        "rows": rows,
        "tables": tables,
        "age_classes": class_scores(shown.age_confusion, bin_labels()),
        "gender_classes": class_scores(by_gender, GENDERS),
        "gender_counts": by_gender.tolist(),
        "paired": [(pair, compare(pair)) for pair in findings.order_pairs(evaluation.paired)],
        "compared": COMPARED,
        "one_seed": ONE_SEED,
        "explanations": evaluation.explanations,
        "measures": MEASURES,
        "genders": GENDERS,
        "attribute_title": attribute_title,
        "findings": findings,
    }


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
