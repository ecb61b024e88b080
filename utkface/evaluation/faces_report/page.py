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
_NUM_SAMPLES = 8  # of each age group, of each measure's end, and of the grey ones
_NUM_CONFLICTS = 12
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
        context = _context(faces, quality) | {"with_photographs": with_photographs}
        with drawing_style():
            context |= _draw(context)
        if with_photographs:
            context |= _photographs(context)
        return write_page(path, _TEMPLATE, context)


def _context(faces: Faces, quality: pd.DataFrame) -> dict[str, Any]:
    """Return what the template shows besides figures and photographs."""
    table = faces.table
    copies = findings.find_copies(table)
    try:
        balance = findings.find_balance(table)
    except UserError:  # too few faces for parts
        balance = []
    return {
        "faces": faces,
        # The names of what they were read from, without this machine's folders.
        "source": ", ".join(Path(name).name or name for name in faces.source.split(", ")),
        "table": table,
        "num_photographs": table["group"].nunique(),
        "age": table["age"].describe(),
        "share_female": float((table["gender"] == 1).mean()),
        "said": findings.say_what_matters(table, quality, copies, balance),
        "age_groups": findings.AGE_GROUPS,
        "races": RACES,
        "crossings": findings.count_crossings(table),
        "small": SMALL_GROUP_FACES,
        "grey_below": findings.GREY_BELOW,
        "grey": findings.count_crossings(table[findings.is_grey(quality)]).sum(axis=(1, 2)),
        "measures": find_measured(quality),
        "not_measured": NOT_INSTALLED if quality["brisque"].isna().all() else None,
        "quality": quality,
        "image_size": IMAGE_SIZE,
        "medians": findings.find_medians(table, quality),
        "extremes": findings.find_extremes(table, quality, _NUM_SAMPLES),
        "copies": copies,
        "conflicts": copies.conflicts[:_NUM_CONFLICTS] if copies else [],
        "refused": group_rejected(faces.rejected),
        "balance": balance,
    }


def _draw(context: dict[str, Any]) -> dict[str, Any]:
    table, quality, copies = context["table"], context["quality"], context["copies"]
    by_age, by_race = context["crossings"].sum(axis=1), context["crossings"].sum(axis=0)
    return {
        "people": [
            figures.draw_years(table["age"]),
            figures.draw_pyramid(by_age, findings.AGE_GROUPS, "age, years"),
            figures.draw_pyramid(by_race[::-1], RACES[::-1], "race"),
        ],
        "distributions": [
            figures.draw_measure(quality[measure.name].to_numpy(), measure)
            for measure in context["measures"]
        ],
        "spreads": figures.draw_spreads(copies.age_spreads_years) if copies else None,
    }


def _photographs(context: dict[str, Any]) -> dict[str, Any]:
    """Return thumbnails of some faces of each kind that the page tells of."""
    faces = context["faces"]
    grey = findings.is_grey(context["quality"]).nonzero()[0]
    spaced = grey[:: max(len(grey) // _NUM_SAMPLES, 1)][:_NUM_SAMPLES]
    samples = findings.draw_samples(faces.table, _NUM_SAMPLES)
    return {
        "samples": {label: _thumbnails(faces, rows) for label, rows in samples.items()},
        "grey_samples": _thumbnails(faces, spaced),
        "extreme_faces": [_thumbnails(faces, extreme.rows) for extreme in context["extremes"]],
        "conflict_faces": [_thumbnails(faces, rows) for rows, _ in context["conflicts"]],
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
