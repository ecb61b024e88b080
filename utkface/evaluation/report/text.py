"""Values as a person would write them, for pages, tables and screens; and pages of one file.

`base.html.j2` holds what all pages have in common: a head that forbids any request, and macros.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from utkface.evaluation.facts import Hardware
from utkface.evaluation.measures import number, show_fixed
from utkface.evaluation.photo_measures import PHOTO_MEASURES
from utkface.io import replacing

_SHARED = Path(__file__).parent


def show(value: Any) -> str:
    """Return a value as a person would write it: four significant digits, a dash for nothing."""
    if value is None or value is pd.NA:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value)) or "–"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < 1e7
        return f"{value:.0f}" if is_whole else f"{value:.4g}"  # 10000 rather than 1e+04
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def show_percent(value: Any) -> str:
    """Return a share of one as a percentage with one digit."""
    share = number(value)
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"


def show_duration(seconds: Any) -> str:
    """Return seconds as '2 h 05 min', '3 min 20 s' or '12 s'."""
    if not math.isfinite(number(seconds)):
        return "–"
    whole = round(number(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def show_fields(values: Mapping[str, Any]) -> str:
    """Return a mapping as 'cpus 2, gpus 0'."""
    return ", ".join(f"{name} {show(value)}" for name, value in values.items()) or "–"


def show_hardware(hardware: Hardware) -> str:
    """Return what is known of a run's hardware in one line."""
    return show_fields(hardware.model_dump(exclude_unset=True, exclude_none=True))


#: What a subgroup is called after, where that is not its own name.
_ATTRIBUTES = {
    **{name: measure.attribute for name, measure in PHOTO_MEASURES.items()},
    "poor_quality": "poor quality (among the poorest fifth by so many measures)",
    "age_gender": "age × gender",
    "race_gender": "race × gender",
    "luminance_gender": "luminance × gender",
    "luminance_age": "luminance × age",
    "age_of_reference": "age, in the reference's bins",
}


def attribute_title(name: str) -> str:
    """Return an attribute in words."""
    return _ATTRIBUTES.get(name, name.replace("_", " "))


def write_page(path: Path, template: Path, context: Mapping[str, Any]) -> Path:
    """Render ``template`` to ``path``, whole or not at all, and return the path.

    Texts in ``context`` are escaped; only `Markup` (figures) is taken as it is.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, _SHARED]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "show": show,
        "fixed": show_fixed,
        "percent": show_percent,
        "duration": show_duration,
    }
    html = environment.get_template(template.name).render(context)
    html = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", html)  # a number and its sign stay together
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def escape(text: Any) -> str:
    """Return a text that stays one line, one cell and plain in Markdown."""
    plain = " ".join(show(text).split())
    for character in "\\|`*_<>[]":
        plain = plain.replace(character, "\\" + character)
    return plain


def table(head: Sequence[str], rows: Sequence[Sequence[str]], num_texts: int = 1) -> str:
    """Return a Markdown table of escaped cells; columns after ``num_texts`` are aligned right."""
    lines = [list(head), ["---" if i < num_texts else "---:" for i in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
