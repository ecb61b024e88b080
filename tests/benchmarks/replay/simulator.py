"""The clock and the workers of a replayed search.

A `Source` says what the next trial is and how it would go, a `Policy` which trial a free worker
takes and whether it goes on after an epoch. Nothing else decides, and nothing is random here.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol


@dataclass(frozen=True)
class Curve:
    """What a trial would report after each of its epochs, and what each costs a worker."""

    values: tuple[float, ...]  # lower is better
    seconds: tuple[float, ...]
    score: float = 0.0  # at the end, what people read
    expected: float = 0.0  # the last value without its luck, as far as that is known


class Verdict(Enum):
    """What becomes of a trial after an epoch that is not its last."""

    GO_ON = auto()
    STOP = auto()
    PAUSE = auto()  # its checkpoint is kept; the policy may pick it again


class Pick(Enum):
    """What a free worker does when it takes up no paused trial."""

    NEW = auto()
    WAIT = auto()  # until another worker has finished an epoch


class Source(Protocol):
    """Suggests trials and hears of them."""

    def ask(self, number: int) -> Curve:
        """Return the curve of the next trial."""

    def report(self, number: int, epoch: int, value: float) -> None:
        """Hear of an epoch."""

    def finish(self, number: int, value: float | None) -> None:
        """Hear that a trial is complete (its value), or was stopped or paused (None)."""


class Policy:
    """Starts new trials for ever and lets each run to its end."""

    num_paused = 0

    def pick(self) -> int | Pick:
        """Return the paused trial that a free worker goes on with, or what else it does."""
        return Pick.NEW

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Hear of an epoch before a trial's last and decide."""
        return Verdict.GO_ON

    def complete(self, number: int, epoch: int, value: float) -> None:
        """Hear of a trial's last epoch."""


@dataclass(frozen=True)
class Completion:
    """A trial that had all its epochs."""

    time_s: float
    number: int
    curve: Curve


@dataclass
class History:
    """What happened until the clock ran out."""

    completions: list[Completion] = field(default_factory=list)
    epochs: Counter[int] = field(default_factory=Counter)  # trained, by trial
    max_paused: int = 0


def simulate(source: Source, policy: Policy, num_workers: int, until_s: float) -> History:
    """Replay a search; an epoch that would end after ``until_s`` is not seen."""
    curves: list[Curve] = []
    history = History()
    running: list[tuple[float, int, int]] = []  # when an epoch ends, order of its start, trial
    num_begun = num_free = 0

    def begin_epoch(number: int, now_s: float) -> None:
        nonlocal num_begun
        end_s = now_s + curves[number].seconds[history.epochs[number]]
        heapq.heappush(running, (end_s, num_begun, number))
        num_begun += 1

    def fill_workers(now_s: float) -> None:
        nonlocal num_free
        while num_free and (pick := policy.pick()) is not Pick.WAIT:
            if pick is Pick.NEW:
                pick = len(curves)
                curves.append(source.ask(pick))
            assert isinstance(pick, int)
            begin_epoch(pick, now_s)
            num_free -= 1

    num_free = num_workers
    fill_workers(0.0)
    while running and running[0][0] <= until_s:
        now_s, _, number = heapq.heappop(running)
        history.epochs[number] += 1
        epoch, curve = history.epochs[number], curves[number]
        value = curve.values[epoch - 1]
        source.report(number, epoch, value)
        if epoch == len(curve.values):
            history.completions.append(Completion(now_s, number, curve))
            policy.complete(number, epoch, value)
            source.finish(number, value)
            num_free += 1
        elif policy.judge(number, epoch, value) is Verdict.GO_ON:
            begin_epoch(number, now_s)
        else:
            source.finish(number, None)
            num_free += 1
        history.max_paused = max(history.max_paused, policy.num_paused)
        fill_workers(now_s)
    return history
