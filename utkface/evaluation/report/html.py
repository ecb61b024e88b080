"""Pages of one file each: a Jinja template, the shared style, everything embedded.

`base.html.j2` holds what all pages have in common: a head that forbids any request, and macros.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from utkface.evaluation.report.text import show, show_duration, show_fixed, show_percent
from utkface.io import replacing

_SHARED = Path(__file__).parent


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
