"""The page about a set of faces: one HTML file, with photographs for whoever has them, or without.

Written by ``python -m utkface.data FACES --report``. The page without photographs says the same in
numbers, figures and file names, and may be published.
"""

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from utkface.data.faces import Faces, group_rejected
from utkface.data.labels import GENDERS, RACES
from utkface.data.sources import SourceName
from utkface.evaluation.brisque import NOT_INSTALLED
from utkface.evaluation.faces_report import figures, findings
from utkface.evaluation.photo_measures import find_measured
from utkface.evaluation.quality import IMAGE_SIZE, measure_quality
from utkface.evaluation.records import SMALL_GROUP_FACES
from utkface.evaluation.report.svg import drawing_style
from utkface.evaluation.report.text import write_page
from utkface.io import UserError, progress_bar

_TEMPLATE = Path(__file__).parent / "faces.html.j2"
_NUM_SAMPLES = 8  # of each age group
_NUM_EXTREME = 8
_NUM_CONFLICTS = 12
_NUM_GREY = 8
_THUMBNAIL_PIXELS = 96


class Thumbnail(NamedTuple):
    """A photograph on the page."""

    uri: str
    caption: str


def write_faces_report(
    faces: Faces, source: SourceName, path: Path, *, with_photographs: bool = True
) -> Path:
    """Write the page about the faces to ``path``, and return it.

    faces: as `load_faces` gave them for ``source``; their photographs are measured at 200 px if
    the cache does not know them. With photographs the page is for this machine alone. Raises
    `UserError` where a photograph has changed, or the page or the cache cannot be written.
    """
    if path.suffix != ".html":
        raise UserError(f"{path} is no name of a page; give one that ends in .html")
    quality = measure_quality(faces, source).drop(columns="file")
    with progress_bar("Writing the page"):
        context = _context(faces, quality)
        with drawing_style():
            context |= _draw(faces.table, quality, context["copies"])
        context |= _photographs(faces, context, with_photographs)
        return write_page(path, _TEMPLATE, context)


def _context(faces: Faces, quality: pd.DataFrame) -> dict[str, Any]:
    """Return what the template shows besides figures and photographs."""
    table = faces.table
    copies = findings.find_copies(table)
    balance = _balance(table)
    is_grey = findings.is_grey(quality)
    return {
        "faces": faces,
        "source": _name_source(faces.source),
        "table": table,
        "num_photographs": table["group"].nunique(),
        "age": table["age"].describe(),
        "share_female": float((table["gender"] == 1).mean()),
        "findings": findings.say_what_matters(table, quality, copies, balance),
        "age_groups": findings.AGE_GROUPS,
        "races": RACES,
        "crossings": findings.count_crossings(table),
        "small": SMALL_GROUP_FACES,
        "grey_below": findings.GREY_BELOW,
        "grey": findings.count_crossings(table[is_grey]).sum(axis=(1, 2)),
        "measures": find_measured(quality),
        "not_measured": NOT_INSTALLED if quality["brisque"].isna().all() else None,
        "quality": quality,
        "image_size": IMAGE_SIZE,
        "medians": findings.find_medians(table, quality),
        "extremes": findings.find_extremes(table, quality, _NUM_EXTREME),
        "copies": copies,
        "conflicts": copies.conflicts[:_NUM_CONFLICTS] if copies else [],
        "refused": group_rejected(faces.rejected),
        "balance": balance,
    }


def _balance(table: pd.DataFrame) -> list[findings.PartBalance]:
    """Return who is in the parts of the splits; nobody where there are too few faces for parts."""
    try:
        return findings.find_balance(table)
    except UserError:
        return []


def _name_source(label: str) -> str:
    """Return the names of what the faces were read from, without this machine's folders."""
    return ", ".join(Path(name).name or name for name in label.split(", "))


def _draw(
    table: pd.DataFrame, quality: pd.DataFrame, copies: findings.Copies | None
) -> dict[str, Any]:
    crossings = findings.count_crossings(table)
    measured = find_measured(quality)
    people: list[Markup] = [
        figures.draw_years(table["age"]),
        figures.draw_pyramid(crossings),
        figures.draw_races(crossings),
    ]
    return {
        "people": people,
        "distributions": [figures.draw_measure(quality[m.name].to_numpy(), m) for m in measured],
        "spreads": figures.draw_spreads(copies.age_spreads_years) if copies else None,
    }


def _photographs(faces: Faces, context: dict[str, Any], with_them: bool) -> dict[str, Any]:
    """Return the photographs of the page, or nothing in their place."""
    if not with_them:
        return {"with_photographs": False}
    grey = findings.is_grey(context["quality"]).nonzero()[0]
    samples = findings.draw_samples(faces.table, _NUM_SAMPLES)
    spaced = grey[:: max(len(grey) // _NUM_GREY, 1)][:_NUM_GREY]
    return {
        "with_photographs": True,
        "samples": {label: _thumbnails(faces, rows) for label, rows in samples.items()},
        "grey_samples": _thumbnails(faces, spaced),
        "extreme_faces": [_thumbnails(faces, extreme.rows) for extreme in context["extremes"]],
        "conflict_faces": [_thumbnails(faces, c.rows) for c in context["conflicts"]],
    }


def _thumbnails(faces: Faces, rows: NDArray[np.integer]) -> list[Thumbnail]:
    thumbnails = []
    chosen = faces.table.iloc[rows]
    labels = zip(chosen["age"], chosen["gender"], chosen["race"], strict=True)
    for row, (age, gender, race) in zip(rows, labels, strict=True):
        image = Image.fromarray(faces.images[row])
        image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        thumbnails.append(Thumbnail(uri, f"{age}, {GENDERS[gender]}, {RACES[race]}"))
    return thumbnails
