"""The search's report: one HTML file that needs nothing but a browser.

Everything is in the file: style, figures (SVG), tables. No script, no font and no request.
"""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from tune.records import TrialRecord, pareto_front, search_objectives
from tune.report import figures, parameters
from tune.report.analysis import (
    STATES,
    Comparable,
    Rung,
    find_comparable,
    finishes,
    judge_rungs,
    last_metrics,
    last_value,
    rank_finite,
    split_differing,
)
from tune.report.describe import NOTICES, describe_points, describe_search, list_commands
from tune.report.front import draw_front
from tune.report.importance import MIN_TRIALS, judge_parameters
from tune.report.tables import text_rows, trials_table
from tune.report.yardstick import Yardstick
from utkface.evaluation.report.svg import drawing_style
from utkface.evaluation.report.text import number, write_page

NUM_TOP = 5
#: Of several objectives the whole front is shown side by side, unless it is too wide to read.
_MAX_FRONT = 12
_MAX_RUNG_FIGURES = 6
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
    objectives, by = search_objectives(search), Yardstick.of(search)
    complete = rank_finite(records, objectives)
    front = pareto_front(complete, objectives) if len(objectives) > 1 else []
    best = complete[0] if complete else None
    counts = Counter(record.state for record in records)
    last_epoch = search.get("max_epochs") or max((len(r.epochs) for r in records), default=0)
    rungs = search.get("rungs") or []
    looked_at = rungs or [epoch for epoch in _RUNGS_WITHOUT_ASHA if epoch < last_epoch]
    data = search.get("data") or {}
    table = trials_table(records)
    judged = judge_rungs(records, looked_at, last_epoch, by.metric)
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
        "by": by,
        "objectives": objectives,
        "front": front,
        "front_figures": draw_front(complete, front, objectives),
        "best": best,
        "best_metrics": last_metrics(best) if best else {},
        "gender_margin": _margin(best, data) if best else math.nan,
        "best_value": last_value(best, by.metric) if best else math.nan,
        "lead": _lead(complete, by),
        "points": describe_points(search, records, best, by.metric),
        "last_epoch": last_epoch,
        "rungs": judged,
        "has_rungs": bool(rungs),
        **_course(search, records, best, by),
        **_comparison(
            find_comparable(records, [*looked_at, last_epoch], by.metric), study, best, by
        ),
        "rung_figures": [figures.draw_rung(rung, last_epoch, by) for rung in _some(judged)],
        "top": _top(front[:_MAX_FRONT] or complete[:NUM_TOP]),
        "failed": [record for record in records if record.state == "FAIL"],
        "states": STATES,
        "columns": list(table.columns),
        "rows": text_rows(table),
        "commands": list_commands(folder),
    }


def _course(
    search: Mapping[str, Any], records: list[TrialRecord], best: TrialRecord | None, by: Yardstick
) -> dict[str, Any]:
    """Return the figures of how the search and its trials went."""
    done = finishes(records, search.get("created"), by.metric)
    # Drawn faces are easier or harder than photographs: the reference's score says nothing there.
    show_reference = by.metric == "score" and not (search.get("data") or {}).get("is_demo")
    number_of_best = best.number if best else None
    return {
        "show_reference": show_reference,
        "progress_time": figures.draw_progress(done, True, show_reference, by),
        "progress_trials": figures.draw_progress(done, False, show_reference, by),
        "curves": figures.draw_curves(
            records, search.get("rungs") or [], number_of_best, show_reference, by
        ),
        "losses": figures.draw_losses(best) if best else [],
    }


def _comparison(
    comparable: Comparable, study: optuna.Study, best: TrialRecord | None, by: Yardstick
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
        parameters.draw_slice(comparable, name, scale, number_of_best, by)
        for name, scale in scales.items()
    ]
    return {
        "comparable": comparable,
        "min_trials": MIN_TRIALS,
        "importances": importances,
        "importance": parameters.draw_importance(importances) if importances else None,
        "parallel": parameters.draw_parallel(comparable, scales, number_of_best, by),
        "slices": [drawing for drawing in slices if drawing],
    }


def _lead(complete: list[TrialRecord], by: Yardstick) -> float:
    """Return how far the second best is behind, NaN where there is none."""
    values = [last_value(record, by.metric) for record in complete[:2]]
    return values[1] - values[0] if len(values) == 2 else math.nan


def _some(rungs: list[Rung]) -> list[Rung]:
    """Return the rungs to draw: those that three trials passed to the end, if few, else some."""
    drawn = [rung for rung in rungs if len(rung.end.pairs) >= 3]
    return drawn[:: math.ceil(len(drawn) / _MAX_RUNG_FIGURES) or 1]


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
