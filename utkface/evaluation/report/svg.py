"""Matplotlib figures as inline SVG that follows the page: its colours, its font, its width.

Figures are drawn with one placeholder colour per role, which the SVG text then names as a CSS
variable, so one drawing serves light and dark. Ids are unique per figure, as many share a page.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Roles that a colour can have, as placeholders that nothing else uses; `colours.css` has each.
ROLES = (
    "ink", "muted", "grid", "paper", "complete", "stopped", "failed", "running", "best",
    "reference", "rank0", "rank1", "rank2", "rank3", "rank4", "age", "gender", "male", "female",
)  # fmt: skip
COLOUR = {role: f"#{i * 0x010101:06x}" for i, role in enumerate(ROLES, start=1)}
#: From the best fifth of the trials to the worst.
RANKS = [COLOUR[f"rank{i}"] for i in range(5)]

#: Drawn at 72 dots per inch, a figure is this many units wide: what a phone's screen leaves for it,
#: so that text keeps its size there and grows on a desk. A small one is as wide as its narrowest
#: column.
WIDTH = 360
SMALL_WIDTH = 280
TEXT_SIZE = 11.5
SMALL_TEXT_SIZE = 11  # no text is to be smaller on any screen

_RC: dict[Any, Any] = {
    "svg.hashsalt": "utkface",  # the same numbers give the same page
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's font
    "figure.dpi": 72,
    "savefig.dpi": 72,
    "font.family": "sans-serif",
    "font.size": TEXT_SIZE,
    "axes.titlesize": TEXT_SIZE,
    "axes.titlecolor": COLOUR["ink"],
    "axes.titlelocation": "left",
    "axes.labelcolor": COLOUR["muted"],
    "axes.edgecolor": COLOUR["grid"],
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "figure.facecolor": "none",
    "grid.color": COLOUR["grid"],
    "grid.linewidth": 0.8,
    "text.color": COLOUR["ink"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.labelcolor": COLOUR["muted"],
    "ytick.labelcolor": COLOUR["muted"],
    "legend.frameon": False,
    "legend.labelcolor": COLOUR["ink"],
    "lines.solid_capstyle": "round",
    "path.simplify": False,
    "text.parse_math": False,  # a dollar sign is a dollar sign
}


def drawing_style() -> AbstractContextManager[None]:
    """Set how figures look, for the time of drawing and rendering them."""
    return mpl.rc_context(_RC)


def new_figure(width: float = WIDTH, height: float = 260) -> tuple[Figure, Axes]:
    """Return a figure of ``width`` × ``height`` units with one set of axes; pyplot stays out."""
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    return figure, figure.add_subplot()


def to_svg(
    figure: Figure, name: str, label: str, tooltips: Mapping[str, str] | None = None
) -> Markup:
    """Render a figure as an `<svg>` element that scales to the width it is given.

    ``name`` makes the ids unique in the page; ``label`` is what a screen reader says. ``tooltips``
    are texts by group id (an artist's gid), shown when the pointer rests on it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ET.fromstring(_for_html(buffer.getvalue()))
    for defs in root.findall("defs"):
        if defs.find("style") is not None:  # matplotlib's defaults would hold for the whole page
            root.remove(defs)
    for gid, text in (tooltips or {}).items():
        group = root.find(f".//g[@id='{gid}']")
        if group is not None:
            ET.SubElement(group, "title").text = text
            group.set("class", "hit")
    _shorten(root)
    _rename_ids(root, re.sub(r"\W", "-", name))
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib.clear()
    root.set("viewBox", f"0 0 {float(width):g} {float(height):g}")
    root.set("role", "img")
    root.set("aria-label", label)
    text = ET.tostring(root, encoding="unicode")
    for role, colour in COLOUR.items():
        text = text.replace(colour, f"var(--{role})")
    return Markup(text)


def standalone(svg: Markup, note: str = "") -> str:
    """Return a figure of `to_svg` as a file of its own, which follows light and dark by itself.

    note: what is to be read in its corner wherever it goes.
    """
    match = re.search(r'viewBox="0 0 (\S+) (\S+)"', svg)
    assert match
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{match[1]}" height="{match[2]}"'
    colours = (Path(__file__).parent / "colours.css").read_text(encoding="utf-8")
    style = "svg { background: var(--paper); font-family: system-ui, sans-serif; }"
    start = svg.index(">") + 1
    opening = str(svg[:start]).replace("<svg", head, 1)
    text = f'<text x="3" y="9" font-size="8" fill="var(--warn)">{escape(note)}</text>'
    return f"{opening}<style>\n{colours}{style}\n</style>{text if note else ''}{svg[start:]}\n"


def _for_html(text: str) -> str:
    """Return SVG text as HTML wants it inline: no prologue, no namespaces, plain `href`."""
    text = text[text.index("<svg") :]
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return text.replace("xlink:href", "href")


def _shorten(root: ET.Element) -> None:
    """Round coordinates to a tenth of a unit, and say nothing twice: the page is to stay small."""
    for parent in root.iter():
        for path in parent.findall("path"):
            if path.get("style") == "fill: none":  # matplotlib's invisible backgrounds
                parent.remove(path)
        uses = parent.findall("use")
        if len({use.get("style") for use in uses}) == 1:  # said once for all markers of a group
            parent.set("style", uses[0].attrib.get("style", ""))
            for use in uses:
                use.attrib.pop("style", None)
    for element in root.iter():
        element.text = element.text.strip() if element.text else None
        element.tail = None
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        for key in _NUMERIC & element.attrib.keys():
            element.set(key, _NUMBER.sub(_rounded, element.attrib[key]))
        if "style" in element.attrib:  # the page sets the font
            element.set("style", re.sub(r"font-family: [^;]*; ?", "", element.attrib["style"]))


_NUMERIC = {"d", "x", "y", "transform"}
_NUMBER = re.compile(r"-?\d+\.\d+")


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.1f}".removesuffix(".0")


def _rename_ids(root: ET.Element, name: str) -> None:
    """Drop ids that nothing refers to, and put ``name`` before the others."""
    text = ET.tostring(root, encoding="unicode")
    wanted = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in wanted:
            element.set("id", f"{name}-{old}")
        for key, value in element.attrib.items():
            if key == "href":
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
