"""Policies that a replayed search can have: this project's rules, its peers', and candidates."""

from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np

from replay.rules import StoppingRule
from replay.simulator import Pick, Policy, Verdict
from tune.study.stopping import Asha, Curves


class Stopping(Policy):
    """One of this project's rules of early stopping, or a candidate in the same form."""

    def __init__(self, rule: StoppingRule | Asha) -> None:
        self.rule = rule
        self.curves: dict[int, dict[int, float]] = {}

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Stop where the rule does."""
        self.curves.setdefault(number, {})[epoch] = value
        return Verdict.STOP if self.rule.stops(self.curves, number) else Verdict.GO_ON

    def complete(self, number: int, epoch: int, value: float) -> None:
        """Keep the last value: some rules learn from it."""
        self.curves.setdefault(number, {})[epoch] = value


class Asking(Policy):
    """Asks somebody else's pruner whether a trial stops."""

    def __init__(self, stops: Callable[[int, int, float], bool]) -> None:
        self.stops = stops

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Pass the question on."""
        return Verdict.STOP if self.stops(number, epoch, value) else Verdict.GO_ON


class Promotion(Policy):
    """ASHA as published (https://arxiv.org/abs/1810.05934): trials pause at rungs, the best go on.

    A free worker takes the best trial that is among the first 1/η of a rung and has not gone on
    from there, of the highest rung that has one; else it begins a new trial. With ``max_paused``
    the worst trial of the lowest rung is given up where more would be kept.
    """

    def __init__(self, rungs: Sequence[int], factor: int, max_paused: int | None = None) -> None:
        self.rungs, self.factor, self.max_paused = list(rungs), factor, max_paused
        self.values: dict[int, dict[int, float]] = {rung: {} for rung in self.rungs}
        self.paused: dict[int, int] = {}  # rung by trial

    @property
    def num_paused(self) -> int:  # type: ignore[override]
        """How many checkpoints are kept for trials that may go on."""
        return len(self.paused)

    def pick(self) -> int | Pick:
        """Promote a trial, or begin another."""
        for rung in reversed(self.rungs):
            values = self.values[rung]
            best = sorted(values, key=values.__getitem__)[: len(values) // self.factor]
            for number in best:
                if self.paused.get(number) == rung:
                    return self._take_up(number)
        return Pick.NEW

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Pause at every rung."""
        if epoch not in self.values:
            return Verdict.GO_ON
        self.values[epoch][number] = value
        self.paused[number] = epoch
        if self.max_paused is not None and self.num_paused > self.max_paused:
            worst = max(
                self.paused, key=lambda n: (-self.paused[n], self.values[self.paused[n]][n])
            )
            del self.paused[worst]
        return Verdict.PAUSE

    def _take_up(self, number: int) -> int:
        del self.paused[number]
        return number


class Pasha(Promotion):
    """Progressive ASHA (https://arxiv.org/abs/2207.06940): higher rungs only while ranks change.

    It begins with two rungs, and opens the next when the trials of the last one are ordered
    otherwise than one rung before. After ``num_trials`` the best of the last rung run to the end.
    """

    def __init__(self, rungs: Sequence[int], factor: int, num_trials: int) -> None:
        super().__init__(rungs, factor)
        self.all_rungs, self.num_left = list(rungs), num_trials
        self.rungs = self.all_rungs[:2]

    def pick(self) -> int | Pick:
        """Promote below the last rung, begin a trial, or at the end finish the best."""
        *lower, last = self.rungs
        self.rungs = lower
        pick = super().pick()
        self.rungs = [*lower, last]
        if pick is Pick.NEW and self.num_left:
            self.num_left -= 1
        elif pick is Pick.NEW:
            waiting = [number for number, rung in self.paused.items() if rung == last]
            if not waiting:
                return Pick.WAIT
            return self._take_up(min(waiting, key=self.values[last].__getitem__))
        return pick

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Pause at open rungs, and open one where the order has changed."""
        if epoch not in self.rungs:
            return Verdict.GO_ON
        verdict = super().judge(number, epoch, value)
        before, last = self.rungs[-2:]
        order = sorted(self.values[last], key=self.values[last].__getitem__)
        changed = order != sorted(order, key=self.values[before].__getitem__)
        if changed and self.num_left and len(self.rungs) < len(self.all_rungs):
            self.rungs = self.all_rungs[: len(self.rungs) + 1]
        return verdict


class Rounds(Policy):
    """``num_trials`` for a few epochs, then the ``num_best`` to the end, and again from the start.

    "One epoch, then the k best to the end" (https://arxiv.org/abs/2307.15422).
    """

    def __init__(self, num_trials: int, num_best: int, epoch: int = 1) -> None:
        self.num_trials, self.num_best, self.epoch = num_trials, num_best, epoch
        self.values: dict[int, float] = {}
        self.num_begun = 0
        self.best: list[int] = []

    @property
    def num_paused(self) -> int:  # type: ignore[override]
        """All of a round until it is judged, then what is left of its best."""
        return len(self.values) + len(self.best)

    def pick(self) -> int | Pick:
        """Begin a trial, wait for the round's last, or finish one of its best."""
        if len(self.values) == self.num_trials:
            self.best = sorted(self.values, key=self.values.__getitem__)[: self.num_best]
            self.values, self.num_begun = {}, 0
        if self.best:
            return self.best.pop(0)
        if self.num_begun < self.num_trials:
            self.num_begun += 1
            return Pick.NEW
        return Pick.WAIT

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Pause at the one epoch that counts."""
        if epoch != self.epoch:
            return Verdict.GO_ON
        self.values[number] = value
        return Verdict.PAUSE


class Percentile(StoppingRule):
    """Stop a trial at a rung where it is worse than a share of the earlier ones.

    As Optuna's PercentilePruner: the first ``num_startup`` at a rung pass.
    """

    def __init__(self, epochs: Sequence[int], share: float, num_startup: int = 3) -> None:
        self.epochs, self.share, self.num_startup = epochs, share, num_startup

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        earlier = [c[epoch] for other, c in curves.items() if other != number and epoch in c]
        if len(earlier) < self.num_startup:
            return False
        return curves[number][epoch] > np.quantile(earlier, self.share)


class Extrapolation(StoppingRule):
    """Stop a trial that will hardly be the best, as straight lines through the others say.

    From the complete trials' last values on their values at this epoch comes a line in logarithms
    and how far they stray from it. A trial goes on where its best guess less ``width`` standard
    deviations beats the best so far. With few complete trials, the rule before them decides.
    """

    def __init__(
        self,
        before: StoppingRule | Asha,
        epochs: Sequence[int],
        last: int,
        width: float,
        num_min: int = 6,
    ) -> None:
        self.before, self.epochs, self.last = before, epochs, last
        self.width, self.num_min = width, num_min

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        ends = [(c[epoch], c[self.last]) for c in curves.values() if self.last in c]
        if len(ends) < self.num_min:
            return self.before.stops(curves, number)
        now, end = np.log(np.array(ends)).T
        slope = np.polyfit(now, end, 1)[0] if np.ptp(now) > 0 else 0.0
        slope = min(max(slope, 0.3), 1.5)  # of few points, a slope may be anything
        rest = end - slope * now
        spread = float(np.std(rest, ddof=2))
        guess = slope * np.log(curves[number][epoch]) + fmean(rest)
        return bool(guess - self.width * spread > end.min())
