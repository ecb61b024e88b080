"""The search's report: one HTML file that needs nothing but a browser.

Everything is in the file: style, figures (SVG), tables. No script, no font and no request. What to
use comes first, then how sure that is, then how the search went.
"""

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from tune.records.confirmation import confirmed_first
from tune.records.run_folder import retrain_command
from tune.records.search import SearchRecord
from tune.records.trials import (
    STATES,
    TrialRecord,
    count_endings,
    last_metrics,
    pareto_front,
    split_differing,
    trials_table,
)
from tune.report.analysis import (
    MIN_TRIALS,
    Comparable,
    Metric,
    find_comparable,
    find_leads,
    find_margins,
    finishes,
    judge_parameters,
    judge_rungs,
    last_value,
    rank_finite,
    used_settings,
)
from tune.report.facts import NOTICES, from_here, list_commands, list_facts, list_points
from tune.spaces.objectives import judged_metric
from utkface.config import TrainConfig
from utkface.evaluation.report.text import show, show_fixed, write_page

NUM_TOP = 5
#: So many curves, lines and dots are drawn at most; the table and the importance are of all trials.
MAX_DRAWN = 200
#: Of several objectives the whole front is shown side by side, unless it is too wide to read.
_MAX_FRONT = 12
_MAX_RUNG_FIGURES = 6
_TEMPLATE = Path(__file__).parent / "report.html.j2"
#: Where no trial was stopped, the epochs whose ranking is looked at, as ASHA would have had them.
_RUNGS_WITHOUT_ASHA = (1, 3, 9, 27)


def write_report(
    search: SearchRecord, records: Sequence[TrialRecord], study: optuna.Study, path: Path
) -> Path:
    """Write the report of a search, finished or not, to ``path`` and return it.

    ``study`` gives the parameters' distributions. Raises `UserError`.
    """
    from utkface.evaluation.report.svg import drawing_style  # here, as matplotlib takes a second

    records = sorted(records, key=lambda record: record.number)
    with drawing_style():
        context = _context(search, records, study, path.parent)
    return write_page(path, _TEMPLATE, context)


def _context(
    search: SearchRecord, records: Sequence[TrialRecord], study: optuna.Study, folder: Path
) -> dict[str, Any]:
    """Return everything that the template shows."""
    from tune.report.figures import draw_front

    objectives, max_epochs = search.options.objectives, search.options.max_epochs
    by = Metric(judged_metric(objectives))
    shown = (by.name, "score", "age_mae", "gender_error")  # of what was trained again
    complete = rank_finite(records, objectives)
    front = pareto_front(complete, objectives) if len(objectives) > 1 else []
    ranking = confirmed_first(complete, records, search.confirmation)
    best = ranking[0] if ranking and not front else None
    marked = {record.number for record in front or ranking[:1]}
    rungs = search.rungs or [epoch for epoch in _RUNGS_WITHOUT_ASHA if epoch < max_epochs]
    comparable = find_comparable(records, [*rungs, max_epochs], by.name)
    columns, rows = _all_trials(trials_table(records))
    return {
        "search": search,
        "facts": list_facts(search),
        "notice": NOTICES.get(search.status),
        "counts": count_endings(records),
        "num_trials": len(records),
        "num_epochs": sum(len(r.epochs) for r in records),
        "full_epochs": sum(
            max_epochs if r.ending == STATES["PRUNED"] else len(r.epochs) for r in records
        ),
        "by": by,
        "front": front,
        "best": best,
        "marked": "the front" if front else "the best",
        "retrain": retrain_command(from_here(folder)),
        **(_winner(best, [r for r in complete if r is not best], search, by) if best else {}),
        "confirmation": search.confirmation,
        "metrics": [Metric(name) for name in dict.fromkeys([by.name, "score"])],
        "other_objectives": [Metric(name) for name in objectives if name not in shown],
        "points": list_points(search, records, best, by.name),
        "front_figures": draw_front(complete, front, objectives) if front else [],
        **_course(search, records, rungs, front or ranking[:1], by),
        **_comparison(comparable, study, marked, by),
        "top": _top(front[:_MAX_FRONT] or ranking[:NUM_TOP]),
        "failed": [record for record in records if record.state == "FAIL" or record.diverged],
        "columns": columns,
        "rows": rows,
        "max_drawn": MAX_DRAWN,
        "min_trials": MIN_TRIALS,
        "commands": list_commands(folder),
    }


def _winner(
    best: TrialRecord, others: Sequence[TrialRecord], search: SearchRecord, by: Metric
) -> dict[str, Any]:
    """Return what to use and how sure that is."""
    # Those of single seeds say nothing of a trial that was confirmed, or even stopped early.
    leads = [] if search.confirmation else find_leads(best, others, search.data.num_val)
    defaults = TrainConfig().to_dict()
    return {
        "best_metrics": last_metrics(best),
        "best_value": last_value(best, by.name),
        "margins": find_margins(best, search.data.num_val),
        "leads": leads,
        "not_told_apart": [lead.over for lead in leads if not lead.is_clear],
        "settings": [(name, best.params[name], defaults.get(name)) for name in best.params],
        "config_json": json.dumps(best.config, indent=2),
    }


def _course(
    search: SearchRecord,
    records: Sequence[TrialRecord],
    epochs: Sequence[int],
    best: Sequence[TrialRecord],
    by: Metric,
) -> dict[str, Any]:
    """Return the figures of how the search and its trials went; ``best`` stand out."""
    from tune.report import figures

    done = finishes(records, search.created, by.name)
    # Drawn faces are easier or harder than photographs: the reference's score says nothing there.
    show_reference = by.name == "score" and not search.data.is_demo
    marked = {record.number for record in best}
    furthest = sorted(
        records,
        key=lambda r: (r.number not in marked, -len(r.epochs), last_value(r, by.name), r.number),
    )
    rungs = judge_rungs(records, epochs, search.options.max_epochs, by.name)
    # Those that enough trials passed to the end; if there are many, some of them.
    told = [rung for rung in rungs if len(rung.end.pairs) >= 3]
    told = told[:: math.ceil(len(told) / _MAX_RUNG_FIGURES) or 1]
    return {
        "show_reference": show_reference,
        "progress_time": figures.draw_progress(done, True, show_reference, by),
        "progress_trials": figures.draw_progress(done, False, show_reference, by),
        "curves": figures.draw_curves(
            furthest[:MAX_DRAWN], search.rungs, marked, show_reference, by
        ),
        "rungs": rungs,
        "rung_figures": [figures.draw_rung(rung, search.options.max_epochs, by) for rung in told],
        "learner": best[0] if best else None,
        "losses": figures.draw_losses(best[0]) if best else [],
    }


def _comparison(
    comparable: Comparable, study: optuna.Study, marked: Collection[int], by: Metric
) -> dict[str, Any]:
    """Return the figures of the parameters, the most important first, and what they are about."""
    from tune.report import parameter_figures as figures

    importances = judge_parameters(comparable, study)
    order = [item.name for item in importances.parameters] if importances else []
    scales = figures.find_scales(study)
    scales = {name: scales[name] for name in dict.fromkeys([*order, *scales])}
    # The best that can be drawn in one figure, and the marked ones wherever they stand.
    best, others = comparable.pairs[:MAX_DRAWN], comparable.pairs[MAX_DRAWN:]
    further = [(record, score) for record, score in others if record.number in marked]
    drawn = Comparable(comparable.epoch, best + further)
    slices = [figures.draw_slice(drawn, *item, marked, by) for item in scales.items()]
    return {
        "comparable": comparable,
        "importances": importances,
        "importance": figures.draw_importance(importances) if importances else None,
        "parallel": figures.draw_parallel(drawn, scales, marked, by),
        "slices": [drawing for drawing in slices if drawing],
    }


def _top(finalists: Sequence[TrialRecord]) -> dict[str, Any]:
    """Return the best configurations side by side: results, what differs, what they share."""
    searched = {name for record in finalists for name in record.params}
    differing, common = split_differing([used_settings(r, searched) for r in finalists])
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


def _all_trials(table: pd.DataFrame) -> tuple[list[tuple[str, bool]], list[tuple[str, ...]]]:
    """Return the columns, each with whether it holds texts, and the cells, row by row."""
    columns = table.astype(object).where(table.notna(), None).to_numpy().T.tolist()
    are_texts = [any(isinstance(value, str) for value in values) for values in columns]
    rows = list(zip(*map(align, columns), strict=True))
    return list(zip(table.columns, are_texts, strict=True)), rows


def align(values: Sequence[Any]) -> list[str]:
    """Return a column's cells as texts; numbers with so many digits that their points line up."""
    sizes = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v) and v]
    if not sizes or not any(isinstance(v, float) and v % 1 for v in values):
        return [show(value) for value in values]
    if max(sizes) > 1000 * min(sizes):  # on a logarithmic scale
        return [f"{v:.2e}" if isinstance(v, float) else show(v) for v in values]
    digits = max(0, 3 - math.floor(math.log10(max(sizes))))
    return [show_fixed(v, digits) if isinstance(v, float) else show(v) for v in values]
