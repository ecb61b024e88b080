"""The searches that are compared, and what must be said before their scores are."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from tune.past_runs import PastRun, list_differences
from tune.records import (
    SCORE,
    TrialRecord,
    objective_values,
    rank_complete,
    search_objectives,
)
from tune.report.analysis import Finish, finishes, last_metrics, seconds_between
from tune.run_folder import FINISHED
from utkface.evaluation.report.text import show, show_duration

#: A search whose trials ended so much later than it ran for was interrupted in between.
_PAUSE_S = 60.0


@dataclass(frozen=True)
class Compared:
    """One search among others, under a letter."""

    letter: str
    run: PastRun
    best: TrialRecord | None
    done: list[Finish]  # the complete trials, in the order of their ends

    @property
    def counts(self) -> Counter:
        """How many trials ended in each state."""
        return Counter(record.state for record in self.run.records)

    @property
    def num_epochs(self) -> int:
        """How many epochs were trained in all."""
        return sum(int(last_metrics(r).get("epoch", len(r.epochs))) for r in self.run.records)

    @property
    def end_s(self) -> float:
        """When the last trial ended, in seconds since the search began; NaN where unknown."""
        created = self.run.search["created"]
        times = [seconds_between(created, record.ended) for record in self.run.records]
        return max((time for time in times if math.isfinite(time)), default=math.nan)

    @property
    def objectives(self) -> tuple[str, ...]:
        """What the search minimised."""
        return search_objectives(self.run.search)


def line_up(runs: Sequence[PastRun]) -> list[Compared]:
    """Return the searches with letters, each with its best trial."""
    return [_line_up(_letter(index), run) for index, run in enumerate(runs)]


def _line_up(letter: str, run: PastRun) -> Compared:
    ranked = rank_complete(run.records, search_objectives(run.search))
    best = ranked[0] if ranked else None
    return Compared(letter, run, best, finishes(run.records, run.search["created"]))


def _letter(index: int) -> str:
    place, turn = index % 26, index // 26
    return ascii_uppercase[place] + (str(turn + 1) if turn else "")


def warnings(compared: Sequence[Compared]) -> list[str]:
    """Say what keeps the scores of searches from being comparable; nothing where they are."""
    first, *others = compared
    lines = []
    for other in others:
        differences = list_differences(first.run.search, other.run.search)
        if first.objectives != other.objectives:
            names = [", ".join(each.objectives) for each in (first, other)]
            differences.append(f"objectives: {names[0]} and {names[1]}")
        if differences:
            what = f"{first.letter} and {other.letter} differ in {'; '.join(differences)}"
            lines.append(f"{what}: their scores do not compare")
    return lines


def remarks(compared: Sequence[Compared]) -> list[str]:
    """Say what else is to be known before searches are compared."""
    lines = []
    for each in compared:
        status = each.run.search.get("status")
        if status != FINISHED:
            lines.append(f"{each.letter} is {status}: its best may be yet to come")
        pause_s = each.end_s - (each.run.search.get("wall_s") or math.inf)
        if pause_s > _PAUSE_S:
            pause = show_duration(pause_s)
            lines.append(f"{each.letter} was interrupted for {pause}, which its times include")
    machines = {_machine(each.run.search) for each in compared}
    if len(machines) > 1:
        lines.append(f"the machines differ ({'; '.join(sorted(machines))}), and so do the times")
    return lines


def _machine(search: dict[str, Any]) -> str:
    hardware = search.get("hardware") or {}
    cards = show(hardware.get("accelerators") or None)
    kind = "no GPU" if cards == "–" else cards
    return (
        f"{show(hardware.get('cpus'))} cores, {kind}, {show(search.get('concurrency'))} trials at "
        "a time"
    )


def leader(compared: Sequence[Compared]) -> Compared | None:
    """Return the search with the lowest score; None where scores do not compare, or are not."""
    having = [each for each in compared if each.best is not None]
    if warnings(compared) or not having:
        return None
    return min(having, key=lambda each: objective_values(each.best, SCORE) if each.best else [])
