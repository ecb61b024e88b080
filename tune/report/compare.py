"""``--compare``: several searches side by side, as one page and as a table in the terminal."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from rich.console import Console
from rich.table import Table

from tune.console.lines import metric_cells, metric_headings
from tune.records.confirmation import confirmed_first
from tune.records.search import SearchRecord
from tune.records.trials import (
    STATES,
    TrialRecord,
    count_endings,
    last_metrics,
    rank_complete,
    seconds_between,
    split_differing,
)
from tune.report.analysis import Finish, finishes, used_settings
from tune.report.facts import list_facts
from tune.spaces.objectives import Metrics, Settings, judged_metric
from tune.study.past_runs import PastRun
from utkface.evaluation.report.text import number, show, show_duration, show_fixed, write_page
from utkface.io import UserError

_TEMPLATE = Path(__file__).parent / "compare.html.j2"
_TABLE_WIDTH = 120  # at least: a line that is broken by the terminal can still be read
_MAX_NAMES = 3  # of runs in the name of a page
#: A search whose trials ended so much later than it ran for was interrupted in between.
_PAUSE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Compared(PastRun):
    """One search among others, under a letter."""

    letter: str
    best: TrialRecord | None
    done: list[Finish]  # the complete trials, in the order of their ends

    @property
    def best_metrics(self) -> Metrics:
        """The best trial's last metrics, or its means over seeds; nothing without a best trial."""
        if self.search.confirmation:
            return self.search.confirmation.winner.means
        return last_metrics(self.best) if self.best else {}

    @property
    def best_settings(self) -> Settings:
        """The best trial's configuration as far as it used it; nothing without a best trial."""
        searched = {name for record in self.records for name in record.params}
        return used_settings(self.best, searched) if self.best else {}

    @property
    def counts(self) -> dict[str, int]:
        """How many trials ended in which way."""
        return count_endings(self.records)

    @property
    def num_epochs(self) -> int:
        """How many epochs were trained in all."""
        return sum(int(last_metrics(r).get("epoch", len(r.epochs))) for r in self.records)

    @property
    def end_s(self) -> float:
        """When the last trial ended, in seconds since the search began; NaN where unknown."""
        times = [seconds_between(self.search.created, record.ended) for record in self.records]
        return max((time for time in times if math.isfinite(time)), default=math.nan)


def compare(runs: Sequence[PastRun], results: Path, output: Path | None) -> int:
    """Write a page about searches to ``output``, else to ``results``; return exit status 0.

    Raises `UserError` for fewer than two, for one that is named twice or is damaged, and where the
    page cannot be written.
    """
    from utkface.evaluation.report.svg import drawing_style  # here, as matplotlib takes a second

    if len(runs) < 2:
        raise UserError(f"--compare {runs[0].name} names one search; give two or more")
    for name, count in Counter(run.name for run in runs).items():
        if count > 1:
            raise UserError(f"--compare names {name} twice; give each search once")
    compared = line_up(runs)
    console = Console(highlight=False, soft_wrap=True, width=max(Console().width, _TABLE_WIDTH))
    console.print(_table(compared))
    for line in [*warnings(compared), *remarks(compared)]:
        console.print(f"note: {line}", markup=False)
    with drawing_style():
        context = _context(compared)
    if winner := context["winner"]:
        score = show_fixed(winner.best_metrics.get("score"), 3)
        trial = f"trial {winner.best.number} of {winner.name}"
        console.print(f"best by {context['by']}: score {score}, {trial}", markup=False)
    path = write_page(output or results / _file_name(runs), _TEMPLATE, context)
    console.print(f"page: {path}", markup=False)
    return 0


def line_up(runs: Sequence[PastRun]) -> list[Compared]:
    """Return the searches with letters, each with its best trial."""
    compared = []
    for index, run in enumerate(runs):
        search = run.search
        complete = rank_complete(run.records, search.options.objectives)
        ranking = confirmed_first(complete, run.records, search.confirmation)
        turn, place = divmod(index, 26)
        letter = ascii_uppercase[place] + (str(turn + 1) if turn else "")
        best, done = next(iter(ranking), None), finishes(run.records, search.created)
        compared.append(Compared(**vars(run), letter=letter, best=best, done=done))
    return compared


def warnings(compared: Sequence[Compared]) -> list[str]:
    """Say what keeps the scores of searches from being comparable; nothing where they are."""
    first, *others = compared
    lines = []
    for other in others:
        differences = first.search.conditions.differences(other.search.conditions)
        if first.search.options.objectives != other.search.options.objectives:
            names = [", ".join(each.search.options.objectives) for each in (first, other)]
            differences.append(f"objectives: {' and '.join(names)}")
        if differences:
            what = f"{first.letter} and {other.letter} differ in {'; '.join(differences)}"
            lines.append(f"{what}: their scores do not compare")
    return lines


def remarks(compared: Sequence[Compared]) -> list[str]:
    """Say what else is to be known before searches are compared."""
    lines = []
    not_all_confirmed = not all(each.search.confirmation for each in compared)
    for each in compared:
        if each.search.confirmation and not_all_confirmed:
            num_seeds = len(each.search.confirmation.winner.seeds)
            lines.append(
                f"the best of {each.letter} was trained again: its numbers are means over "
                f"{num_seeds} seeds, those of a search without that are of one seed"
            )
        if each.search.status != "finished":
            lines.append(f"{each.letter} is {each.search.status}: its best may be yet to come")
        pause_s = each.end_s - (each.search.wall_s or math.inf)
        if pause_s > _PAUSE_S:
            pause = show_duration(pause_s)
            lines.append(f"{each.letter} was interrupted for {pause}, which its times include")
    machines = {_machine(each.search) for each in compared}
    if len(machines) > 1:
        lines.append(f"the machines differ ({'; '.join(sorted(machines))}), and so do the times")
    return lines


def leader(compared: Sequence[Compared]) -> Compared | None:
    """Return the search with the best trial; None where scores do not compare, or are not."""
    if warnings(compared):
        return None
    by = judged_metric(compared[0].search.options.objectives)
    values = [(number(each.best_metrics.get(by)), each) for each in compared if each.best]
    # One without the metric comes last.
    values.sort(key=lambda item: (math.isnan(item[0]), item[0]))
    return values[0][1] if values else None


def _context(compared: Sequence[Compared]) -> dict[str, Any]:
    """Return everything that the template shows."""
    from tune.report.figures import draw_searches, search_role

    is_demo = any(each.search.data.is_demo for each in compared)
    winner = leader(compared)
    configs = [each.best_settings for each in compared]
    differing, common = split_differing([config for config in configs if config])
    return {
        "compared": compared,
        "endings": dict.fromkeys(words for each in compared for words in each.counts),
        "roles": [search_role(index) for index in range(len(compared))],
        "is_demo": is_demo,
        "warnings": warnings(compared),
        "remarks": remarks(compared),
        "winner": winner,
        "by": judged_metric(compared[0].search.options.objectives).replace("_", " "),
        "by_trials": draw_searches(compared, by_time=False, show_reference=not is_demo),
        "by_time": draw_searches(compared, by_time=True, show_reference=not is_demo),
        "configs": configs,
        "differing": list(differing),
        "winning": configs[compared.index(winner)] if winner else {},
        "common": common,
        # What was asked and what it ran on: what differs, and what is the same for all.
        "asked": split_differing([dict(list_facts(each.search)) for each in compared]),
        "spaces": split_differing([_ranges(each.search) for each in compared])[0],
    }


def _ranges(search: SearchRecord) -> dict[str, str]:
    """Return what each hyperparameter of a search could be."""
    signature = search.space_signature
    constants = {name: f"always {value}" for name, value in signature.constants.items()}
    parameters = signature.parameters.items()
    return constants | {name: " or ".join(parameter.ranges) for name, parameter in parameters}


def _table(compared: Sequence[Compared]) -> Table:
    table = Table(box=None)
    counted = ["trials", "complete", "epochs"]
    for name in ["", "search", *counted, "best", *metric_headings(), "wall time"]:
        table.add_column(name, no_wrap=True, justify="left" if name == "search" else "right")
    for each in compared:
        table.add_row(
            each.letter,
            each.name,
            str(len(each.records)),
            str(each.counts.get(STATES["COMPLETE"], 0)),
            str(each.num_epochs),
            f"trial {each.best.number}" if each.best else "–",
            *metric_cells(each.best_metrics),
            show_duration(each.search.wall_s),
        )
    return table


def _machine(search: SearchRecord) -> str:
    cards = ", ".join(search.hardware.accelerators) or "no GPU"
    return f"{show(search.hardware.cpus)} cores, {cards}, {search.concurrency} trials at a time"


def _file_name(runs: Sequence[PastRun]) -> str:
    parts = [run.name for run in runs[:_MAX_NAMES]]
    if len(runs) > _MAX_NAMES:
        parts.append(f"and-{len(runs) - _MAX_NAMES}-more")
    return f"compare-{'-'.join(parts)}.html"
