"""The page about several searches: one HTML file that needs nothing but a browser."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tune.compare.figures import draw_best_so_far, role
from tune.compare.runs import Compared, leader, remarks, warnings
from tune.report.analysis import STATES, last_metrics, split_differing
from tune.report.describe import describe_search
from utkface.evaluation.report.svg import drawing_style
from utkface.evaluation.report.text import write_page

_TEMPLATE = Path(__file__).parent / "template.html.j2"


def write_comparison(compared: Sequence[Compared], path: Path) -> Path:
    """Write the page to ``path`` and return it."""
    with drawing_style():
        return write_page(path, _TEMPLATE, _context(compared))


def _context(compared: Sequence[Compared]) -> dict[str, Any]:
    is_demo = [bool((each.run.search.get("data") or {}).get("is_demo")) for each in compared]
    winner = leader(compared)
    configs = [{**each.best.config, **each.best.params} if each.best else {} for each in compared]
    known = [config for config in configs if config]
    differing, common = split_differing(known)
    winning = configs[compared.index(winner)] if winner else {}
    return {
        "compared": compared,
        "states": STATES,
        "roles": [role(index) for index in range(len(compared))],
        "metrics": [last_metrics(each.best) if each.best else {} for each in compared],
        "is_demo": any(is_demo),
        "warnings": warnings(compared),
        "remarks": remarks(compared),
        "winner": winner,
        "by_trials": draw_best_so_far(compared, False, not any(is_demo)),
        "by_time": draw_best_so_far(compared, True, not any(is_demo)),
        "configs": configs,
        "differing": list(differing),
        "winning": winning,
        "common": common,
        "asked": _split_facts(compared),
        "spaces": _split_spaces(compared),
    }


def _split_facts(compared: Sequence[Compared]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return what was asked and what it ran on: what differs, and what is the same for all."""
    return split_differing([dict(describe_search(each.run.search)) for each in compared])


def _split_spaces(compared: Sequence[Compared]) -> dict[str, list[str | None]]:
    """Return the ranges of the parameters that not all searches took from the same."""
    ranges = []
    for each in compared:
        signature = each.run.search.get("space_signature") or {}
        parameters = signature.get("parameters", {}).items()
        constants = signature.get("constants", {}).items()
        ranges.append(
            {name: f"always {value}" for name, value in constants}
            | {name: " or ".join(entry["ranges"]) for name, entry in parameters}
        )
    return split_differing(ranges)[0]
