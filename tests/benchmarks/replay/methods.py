"""Every method that is compared: a source of trials and a policy for them, by name."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner
from optuna.samplers import GPSampler, TPESampler

from replay.policies import (
    Asking,
    Extrapolation,
    Pasha,
    Percentile,
    Promotion,
    Rounds,
    Stopping,
)
from replay.rules import Hyperband, Median
from replay.simulator import Curve, History, Policy, Source, simulate
from replay.sources import StockRay, Study, Table
from replay.surrogate import Measured, Surrogate
from tune.options.search import SearchOptions
from tune.study.samplers import NearPoints, make_sampler
from tune.study.stopping import Asha, make_rule

NUM_STARTUP_TRIALS = 8  # of TPE; a search takes 5 to 10, by its size
RANDOM = "random"
OURS = "ours: points, near points × 8, TPE, ASHA"

Build = Callable[[int], tuple[Source, Policy]]  # for a replay's seed

#: Policies that are tried with samplers as well.
CANDIDATES = (
    "cut at 1, best third", "cut at 2, best quarter", "ASHA 1, η 3", "promotion 1, η 3",
    "1 epoch of 24, the best 4", "extrapolation at 2, 4", "ASHA 2, η 3", "ASHA 3, η 2",
)  # fmt: skip


def policies(max_epochs: int) -> dict[str, Callable[[], Policy]]:
    """Return everything that decides which trials go on, by name; none needs a sampler."""
    options = SearchOptions(space="everything", max_epochs=max_epochs)
    grace, factor = options.grace_epochs, options.reduction_factor

    def cut(epoch: int, factor: int) -> Asha:
        rule = Asha(max_epochs, epoch, factor)
        rule.epochs = [epoch]
        return rule

    def extrapolation(epochs: list[int], width: float) -> Policy:
        before = Asha(max_epochs, epochs[0], 3)
        return Stopping(Extrapolation(before, epochs, max_epochs, width))

    return {
        RANDOM: lambda: Stopping(make_rule("none", max_epochs, grace, factor)),
        f"ASHA {grace}, η {factor} (ours)": lambda: Stopping(Asha(max_epochs, grace, factor)),
        "hyperband 2, η 3": lambda: Stopping(Hyperband(max_epochs, 2, 3)),
        "median from 2": lambda: Stopping(Median(max_epochs, 2)),
        "ASHA 1, η 2": lambda: Stopping(Asha(max_epochs, 1, 2)),
        "ASHA 1, η 3": lambda: Stopping(Asha(max_epochs, 1, 3)),
        "ASHA 1, η 4": lambda: Stopping(Asha(max_epochs, 1, 4)),
        "ASHA 2, η 2": lambda: Stopping(Asha(max_epochs, 2, 2)),
        "ASHA 2, η 3": lambda: Stopping(Asha(max_epochs, 2, 3)),
        "ASHA 3, η 2": lambda: Stopping(Asha(max_epochs, 3, 2)),
        "cut at 1, best third": lambda: Stopping(cut(1, 3)),
        "cut at 2, best third": lambda: Stopping(cut(2, 3)),
        "cut at 2, best quarter": lambda: Stopping(cut(2, 4)),
        "cut at 2, best sixth": lambda: Stopping(cut(2, 6)),
        "cut at 3, best quarter": lambda: Stopping(cut(3, 4)),
        "percentile 33 at 1, 2, 4": lambda: Stopping(Percentile([1, 2, 4], 0.33)),
        "percentile 25 at 2, 4": lambda: Stopping(Percentile([2, 4], 0.25)),
        "promotion 1, η 3": lambda: Promotion([1, 3], 3),
        "promotion 2, η 3": lambda: Promotion([2, 6], 3),
        "promotion 1, 2, 4, η 2": lambda: Promotion([1, 2, 4], 2),
        "promotion 1, η 3, 8 paused": lambda: Promotion([1, 3], 3, max_paused=8),
        "PASHA 1, η 2, 48 trials": lambda: Pasha([1, 2, 4], 2, num_trials=48),
        "1 epoch of 24, the best 4": lambda: Rounds(24, 4),
        "2 epochs of 24, the best 4": lambda: Rounds(24, 4, epoch=2),
        "extrapolation at 2, 4": lambda: extrapolation([2, 4], 1.0),
        "extrapolation at 1 to 7": lambda: extrapolation(list(range(1, max_epochs)), 1.0),
        "extrapolation at 2 to 7, bold": lambda: extrapolation(list(range(2, max_epochs)), 0.0),
    }


@dataclass
class Bench:
    """The curves and what is made of them once."""

    measured: Measured
    surrogate: Surrogate
    points: list[dict[str, Any]]  # the space's, as parameters

    @functools.cached_property
    def methods(self) -> dict[str, Build]:
        """Return every method by where its trials are from and its name."""
        rules = policies(self.num_epochs)
        ours = next(name for name in rules if "ASHA" in name and "ours" in name)
        study = self._study
        surrogate = {
            RANDOM: study("random", rules[RANDOM]),
            f"random, {ours}": study("random", rules[ours]),
            **self._peers(points=False),
            **self._peers(points=True),
            f"points, TPE, {ours}": study("tpe", rules[ours], points=True),
            f"TPE, {ours}": study("tpe", rules[ours]),
            "TPE": study("tpe", rules[RANDOM]),
            "GP": study("gp", rules[RANDOM]),
            "points, random": study("random", rules[RANDOM], points=True),
            f"points, random, {ours}": study("random", rules[ours], points=True),
            OURS: study("tpe", rules[ours], True, near=8),
            f"points, near points × 8, GP, {ours}": study("gp", rules[ours], True, near=8),
            f"points, near points, {ours}": study("random", rules[ours], True, near=10**9),
        }
        for rule in CANDIDATES:
            near = f"points, near points × 8, TPE, {rule}"
            surrogate[near] = study("tpe", rules[rule], points=True, near=8)
        table = {name: self._table(rule) for name, rule in rules.items()}
        table |= {
            f"points first, {name}": self._table(rules[name], points=True)
            for name in (RANDOM, ours)
        }
        return {f"table: {name}": build for name, build in table.items()} | {
            f"surrogate: {name}": build for name, build in surrogate.items()
        }

    @property
    def num_epochs(self) -> int:
        """How long a trial is."""
        return self.measured.judged.shape[1]

    def replay(self, method: str, num_workers: int, until_s: float, seed: int) -> History:
        """Run one search on the simulated clock."""
        return simulate(*self.methods[method](seed), num_workers, until_s)

    def _table(self, policy: Callable[[], Policy], points: bool = False) -> Build:
        return lambda seed: (
            Table(self.measured, np.random.default_rng(seed), points=points),
            policy(),
        )

    def _study(
        self,
        sampler: str,
        policy: Callable[[], Policy],
        points: bool = False,
        near: int | None = None,
    ) -> Build:
        """Use this project's sampler, made anew and seeded for each suggestion as in a search.

        Until ``near`` trials have a result, they are drawn near the space's points.
        """
        first = self._first(points)

        def make(seed: int, so_far: optuna.Study) -> optuna.samplers.BaseSampler:
            trials = so_far.get_trials(deepcopy=False)
            inner_seed = (seed * 1_000_003 + len(trials)) % 2**31
            num_results = sum(trial.state.is_finished() for trial in trials)
            if near is not None and num_results < near:
                return NearPoints(self.points, inner_seed)
            if sampler == "gp":
                return GPSampler(seed=inner_seed, n_startup_trials=NUM_STARTUP_TRIALS)
            return make_sampler(sampler, inner_seed, NUM_STARTUP_TRIALS)

        return lambda seed: (
            Study(
                self.surrogate, functools.partial(make, seed), np.random.default_rng(seed), first
            ),
            policy(),
        )

    def _first(self, points: bool) -> list[tuple[dict[str, Any], Curve]]:
        """Return the space's own points with their measured curves, or none."""
        places = np.flatnonzero(self.measured.is_point)
        curves = [self.measured.curve(place) for place in places]
        return list(zip(self.points, curves, strict=True)) if points else []

    def _peers(self, points: bool) -> dict[str, Build]:
        """Return Optuna's and Ray's own ways, begun with the space's points or without them."""
        peers = {
            "Optuna TPE + SuccessiveHalvingPruner": self._optuna(SuccessiveHalvingPruner(), points),
            "Optuna TPE + HyperbandPruner": self._optuna(
                HyperbandPruner(1, self.num_epochs), points
            ),
            "Ray OptunaSearch + ASHAScheduler": self._ray(grace=1, factor=4, points=points),
        }
        return {f"points, {name}" if points else name: build for name, build in peers.items()}

    def _optuna(self, pruner: optuna.pruners.BasePruner, points: bool) -> Build:
        """Use Optuna as its documentation does."""

        def build(seed: int) -> tuple[Source, Policy]:
            sampler, rng = TPESampler(seed=seed), np.random.default_rng(seed)
            first = self._first(points)
            source = Study(self.surrogate, lambda _: sampler, rng, first, pruner)
            return source, Asking(source.should_prune)

        return build

    def _ray(self, grace: int, factor: int, points: bool) -> Build:
        """Use Ray Tune as its documentation does; grace 1 and factor 4 are its defaults."""

        def build(seed: int) -> tuple[Source, Policy]:
            np.random.seed(seed)  # noqa: NPY002 - the scheduler's own choice of a bracket
            first = self._first(points)
            source = StockRay(self.surrogate, seed, self.num_epochs, grace, factor, first)
            return source, Asking(source.stops)

        return build
