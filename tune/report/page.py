"""The search's report: one HTML file that needs nothing but a browser.

Everything is in the file: style, figures (SVG), tables. No script, no font and no request.
"""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from tune.records import TrialRecord
from tune.report import figures, parameters
from tune.report.analysis import (
    STATES,
    Comparable,
    find_comparable,
    finishes,
    judge_rungs,
    last_metrics,
    rank_finite,
    split_differing,
)
from tune.report.describe import NOTICES, describe_points, describe_search, list_commands
from tune.report.importance import MIN_TRIALS, judge_parameters
from tune.report.tables import text_rows, trials_table
from utkface.evaluation.report.html import write_page
from utkface.evaluation.report.svg import drawing_style
from utkface.evaluation.report.text import number

NUM_TOP = 5
_TEMPLATE = Path(__file__).parent / "template.html.j2"
#: Where no trial was stopped, the epochs whose ranking is looked at, as ASHA would have had them.
_RUNGS_WITHOUT_ASHA = (1, 3, 9, 27)


def write_report(
    search: dict[str, Any], records: list[TrialRecord], study: optuna.Study, path: Path
) -> Path:
    """Write the report of a search, finished or not, to ``path`` and return it.

    ``search`` is the content of ``search.json``; ``study`` gives the parameters' distributions.
    """
    records = sorted(records, key=lambda record: record.number)
    with drawing_style():
        context = _context(search, records, study, path.parent)
    return write_page(path, _TEMPLATE, context)


def _context(
    search: dict[str, Any], records: list[TrialRecord], study: optuna.Study, folder: Path
) -> dict[str, Any]:
    """Return everything that the template shows."""
    complete = rank_finite(records)
    best = complete[0] if complete else None
    counts = Counter(record.state for record in records)
    last_epoch = search.get("max_epochs") or max((len(r.epochs) for r in records), default=0)
    rungs = search.get("rungs") or []
    looked_at = rungs or [epoch for epoch in _RUNGS_WITHOUT_ASHA if epoch < last_epoch]
    data = search.get("data") or {}
    table = trials_table(records)
    judged = judge_rungs(records, looked_at, last_epoch)
    return {
        "search": search,
        "data": data,
        "facts": describe_search(search),
        "is_running": search.get("status") == "running",
        "notice": NOTICES.get(str(search.get("status"))),
        "counts": [(words, counts[state]) for state, words in STATES.items()],
        "num_trials": len(records),
        "num_epochs": sum(len(r.epochs) for r in records),
        "full_epochs": last_epoch * sum(r.state in ("COMPLETE", "PRUNED") for r in records),
        "best": best,
        "best_metrics": last_metrics(best) if best else {},
        "gender_margin": _margin(best, data) if best else math.nan,
        "runner_up": complete[1] if len(complete) > 1 else None,
        "points": describe_points(search, records, best),
        "last_epoch": last_epoch,
        "rungs": judged,
        "has_rungs": bool(rungs),
        **_course(search, records, best),
        **_comparison(find_comparable(records, [*looked_at, last_epoch]), study, best),
        "rung_figures": [figures.draw_rung(rung, last_epoch) for rung in judged],
        "top": _top(complete[:NUM_TOP]),
        "failed": [record for record in records if record.state == "FAIL"],
        "states": STATES,
        "columns": list(table.columns),
        "rows": text_rows(table),
        "commands": list_commands(folder),
    }


def _course(
    search: Mapping[str, Any], records: list[TrialRecord], best: TrialRecord | None
) -> dict[str, Any]:
    """Return the figures of how the search and its trials went."""
    done = finishes(records, search.get("created"))
    # Drawn faces are easier or harder than photographs: the reference's score says nothing there.
    show_reference = not (search.get("data") or {}).get("is_demo")
    number_of_best = best.number if best else None
    return {
        "show_reference": show_reference,
        "progress_time": figures.draw_progress(done, True, show_reference),
        "progress_trials": figures.draw_progress(done, False, show_reference),
        "curves": figures.draw_curves(
            records, search.get("rungs") or [], number_of_best, show_reference
        ),
        "losses": figures.draw_losses(best) if best else [],
    }


def _comparison(
    comparable: Comparable, study: optuna.Study, best: TrialRecord | None
) -> dict[str, Any]:
    """Return the figures of the parameters, the most important first, and what they are about."""
    importances = judge_parameters(comparable, study)
    scales = parameters.find_scales(study)
    if importances:
        place = {item.name: i for i, item in enumerate(importances.parameters)}
        names = sorted(scales, key=lambda name: place.get(name, len(place)))
        scales = {name: scales[name] for name in names}
    number_of_best = best.number if best else None
    slices = [
        parameters.draw_slice(comparable, name, scale, number_of_best)
        for name, scale in scales.items()
    ]
    return {
        "comparable": comparable,
        "min_trials": MIN_TRIALS,
        "importances": importances,
        "importance": parameters.draw_importance(importances) if importances else None,
        "parallel": parameters.draw_parallel(comparable, scales, number_of_best),
        "slices": [drawing for drawing in slices if drawing],
    }


def _margin(best: TrialRecord, data: Mapping[str, Any]) -> float:
    """Return half the 95 % interval of the best's gender accuracy, from the number of faces."""
    accuracy, num_faces = number(last_metrics(best).get("gender_accuracy")), data.get("num_val")
    if not num_faces or not 0 <= accuracy <= 1:
        return math.nan
    return 1.96 * math.sqrt(accuracy * (1 - accuracy) / num_faces)


def _top(finalists: list[TrialRecord]) -> dict[str, Any]:
    """Return the best configurations side by side: results, what differs, what they share."""
    differing, common = split_differing([{**r.config, **r.params} for r in finalists])
    searched = {name for record in finalists for name in record.params}
    parts = {
        "what the search varied": {n: v for n, v in differing.items() if n in searched},
        "what a starting point set": {n: v for n, v in differing.items() if n not in searched},
    }
    return {
        "records": finalists,
        "metrics": [last_metrics(record) for record in finalists],
        "differing": {title: rows for title, rows in parts.items() if rows},
        "common": common,
    }
