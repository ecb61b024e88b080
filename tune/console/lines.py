"""What the screen says in words: how a search begins, stands and ends, and how its trials did."""

import json
import math
import shlex
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from tune.console import labelled
from tune.console.progress import Progress
from tune.execution.reporting import RunStart
from tune.records.confirmation import confirmed_first
from tune.records.run_folder import retrain_command, sync_command
from tune.records.search import SearchRecord
from tune.records.trials import (
    TrialRecord,
    count_endings,
    last_metrics,
    objective_values,
    pareto_front,
    rank_complete,
)
from tune.spaces.objectives import SCORE, Metrics, describe_objectives
from utkface.config import SET_BY_COMMAND, TrainConfig
from utkface.evaluation.records import Estimate
from utkface.evaluation.report.text import show_duration, show_fixed
from utkface.io import UV_RUN

DEMO_WARNING = "demo faces: these numbers say nothing about real ones"
#: Names of metrics with their columns' headings and digits: always shown, and where minimised.
_COLUMNS = {"score": ("score", 3), "age_mae": ("age MAE", 2), "gender_accuracy": ("gender", 3)}
_MORE_COLUMNS = {
    "smooth_score": ("smooth score", 3),
    "gender_log_loss": ("log loss", 3),
    "calibrated_gender_log_loss": ("log loss", 3),
    "worst_group_mae": ("worst group", 2),
}
_MAX_FRONT_SHOWN = 8
_SEARCH = f"{UV_RUN}python tune/run_search.py"


def metric_headings(objectives: Sequence[str] = SCORE) -> list[str]:
    """Return the headings of the columns that `metric_cells` fills."""
    return [heading for heading, _ in _columns(objectives).values()]


def metric_cells(metrics: Metrics, objectives: Sequence[str] = SCORE) -> list[str]:
    """Return score, age MAE (years), gender accuracy and what else a search minimises as texts."""
    columns = _columns(objectives).items()
    return [show_fixed(metrics.get(name), digits) for name, (_, digits) in columns]


def metrics_line(metrics: Metrics, objectives: Sequence[str] = SCORE) -> str:
    """Return the same metrics as half a sentence."""
    score, age_mae, gender, *more = metric_cells(metrics, objectives)
    line = f"score {score}, age MAE {age_mae} years, gender accuracy {gender}"
    headings = metric_headings(objectives)[len(_COLUMNS) :]
    return ", ".join([line, *map(" ".join, zip(headings, more, strict=True))])


def estimates_line(mae: Estimate, accuracy: Estimate) -> str:
    """Return age MAE (years) and gender accuracy with their intervals as half a sentence."""
    return (
        f"age MAE {mae.value:.2f} ({mae.low:.2f} to {mae.high:.2f}) years, "
        f"gender accuracy {accuracy.value:.4f} ({accuracy.low:.4f} to {accuracy.high:.4f})"
    )


def _columns(objectives: Sequence[str]) -> dict[str, tuple[str, int]]:
    more = {name: _MORE_COLUMNS[name] for name in objectives if name in _MORE_COLUMNS}
    return {**_COLUMNS, **more}


def count_line(records: Iterable[TrialRecord]) -> str:
    """Return how trials ended, as in "3 complete, 5 stopped early, 1 failed"."""
    return ", ".join(f"{count} {words}" for words, count in count_endings(records).items())


def ended_of(progress: Progress) -> str:
    """Return "9 of 16 trials ended, 2 running"; those that failed do not count."""
    ended = f"{progress.num_results} of {progress.num_trials} trials ended"
    return f"{ended}, {len(progress.running)} running"


def ending_line(record: TrialRecord, progress: Progress) -> str:
    """Return one line that says how a trial ended."""
    if record.state == "FAIL":
        return f"trial {record.number} failed: {record.reason or 'no reason given'}"
    if record.diverged:
        return f"trial {record.number} diverged: {record.reason}"
    ending = f"{record.ending} after {len(record.epochs)} of {progress.max_epochs} epochs"
    metrics = metrics_line(last_metrics(record), progress.objectives)
    return f"trial {record.number} {ending}: {metrics}"


def status_line(progress: Progress) -> str:
    """Return where a search stands, in one line."""
    parts = [show_duration(progress.elapsed_s), ended_of(progress)]
    if best := progress.best:
        metrics = metrics_line(last_metrics(best), progress.objectives)
        parts.append(f"best: trial {best.number}, {metrics}")
    return "; ".join([*parts, *time_left_texts(progress)])


def time_left_texts(progress: Progress) -> list[str]:
    """Return an estimate without claiming a precision that it does not have; none at the end."""
    if not progress.running and progress.num_results >= progress.num_trials:
        return []
    left_s = progress.time_left_s()
    if left_s is None:
        return ["time left not known yet"]
    minutes = math.ceil(left_s / 60)
    if minutes <= 1:
        return ["about a minute left"]
    if minutes < 60:
        return [f"about {minutes} min left"]
    hours, minutes = divmod(5 * round(minutes / 5), 60)
    return [f"about {hours} h {minutes} min left" if minutes else f"about {hours} h left"]


def introduction(start: RunStart, search: SearchRecord) -> list[str]:
    """Return what is said once, before anything runs: what is searched and where to watch it."""
    data = search.data
    counts = f"{data.num_train:,} to train on, {data.num_val:,} to validate on"
    lines = [
        labelled("search", f"{search.name}: {search.question}"),
        labelled("faces", f"{counts} ({data.source})"),
    ]
    if search.options.objectives != SCORE:
        lines.append(labelled("objective", describe_objectives(search.options.objectives)))
    lines.append(labelled("run", start.folder))
    if start.dashboard:
        token = f"if it asks for a token: {UV_RUN}ray get-auth-token"
        lines.append(labelled("dashboard", f"{start.dashboard} ({token})"))
    if start.wandb_line:
        lines.append(labelled("W&B", start.wandb_line))
    return lines


def summary(
    search: SearchRecord,
    folder: Path,
    records: Sequence[TrialRecord],
    report: Path | None,
    duration_s: float,
    earlier_s: float,
) -> list[str]:
    """Return what is said at the end: the best configuration, the counts, where to go on.

    ``earlier_s`` is what the search took before this session.
    """
    took = show_duration(duration_s)
    if earlier_s:
        took += f" ({show_duration(earlier_s + duration_s)} in all its sessions)"
    num_results = sum(record.state in ("COMPLETE", "PRUNED") for record in records)
    ending = f"ended after {took} with {num_results} of {search.options.num_trials} trials"
    lines = ["", f"{search.name} {ending}: {count_line(records)}"]
    if search.data.is_demo:
        lines.append(DEMO_WARNING)
    objectives, confirmation = search.options.objectives, search.confirmation
    ranking = confirmed_first(rank_complete(records, objectives), records, confirmation)
    if not ranking:
        lines.append("no trial ran all its epochs, so there is no best configuration")
    elif len(objectives) > 1:
        lines += _front_lines(records, objectives)
    if confirmation:
        lines.append(labelled("confirmed", confirmation.sentence()))
    if ranking and len(objectives) == 1:
        lines += _best_lines(ranking[0], search)
    if report is not None:
        lines.append(labelled("report", report))
    run = shlex.quote(str(folder))
    lines.append(labelled("run", folder))
    if search.wandb == "offline":
        lines.append(labelled("W&B", sync_command(folder)))
    if search.status != "finished":
        lines.append(labelled("go on", f"{_SEARCH} --resume {run}"))
    elif ranking:
        lines.append(labelled("next", retrain_command(folder)))
    return lines


def disk_line(sizes: Collection[int], at_most: int) -> str:
    """Return what checkpoints of so many bytes take on the disk; there are ``at_most`` ever."""
    num, mb = len(sizes), sum(sizes) / 1e6
    bound = f"never more than {at_most}: those of running trials and the best"
    return labelled("disk", f"{num} checkpoint{'s' * (num != 1)}, {mb:.1f} MB ({bound})")


def _front_lines(records: Sequence[TrialRecord], objectives: Sequence[str]) -> list[str]:
    """Return the trials of the Pareto front with what they reached of each objective."""
    front = pareto_front(records, objectives)
    trials = "1 trial" if len(front) == 1 else f"{len(front)} trials"
    lines = [f"{trials} that no other beats in all of {', '.join(objectives)}:"]
    for record in front[:_MAX_FRONT_SHOWN]:
        values = zip(objectives, objective_values(record, objectives), strict=True)
        texts = ", ".join(f"{name} {value:.4g}" for name, value in values)
        lines.append(f"trial {record.number}: {texts}")
    if len(front) > _MAX_FRONT_SHOWN:
        lines.append(f"and {len(front) - _MAX_FRONT_SHOWN} more, in the report")
    return [labelled("" if i else "front", line) for i, line in enumerate(lines)]


def _best_lines(best: TrialRecord, search: SearchRecord) -> list[str]:
    """Return the best trial's metrics, and its settings as ``--config`` needs them.

    What was searched, as far as the trial used it, stands first, also where it is the default;
    then what the space or a starting point sets to something else than the default.
    """
    metrics, note = last_metrics(best), ""
    if search.confirmation:
        winner = search.confirmation.winner
        metrics, note = winner.means, f" (means of {len(winner.seeds)} seeds)"
    line = metrics_line(metrics, search.options.objectives)
    lines = [labelled("best", f"trial {best.number}: {line}{note}")]
    if not search.data.is_demo:
        meaning = "(a lower score is better; 1 is the reference's published model)"
        lines.append(labelled("", meaning))
    defaults = TrainConfig().to_dict()
    rest = {
        name: value
        for name, value in best.config.items()
        if name not in best.params and name not in SET_BY_COMMAND and value != defaults.get(name)
    }
    block = json.dumps({**best.params, **rest}, indent=2).splitlines()
    return lines + [labelled("" if i else "settings", line) for i, line in enumerate(block)]
