"""Which way of searching finds good configurations soonest? Replayed over learning curves.

    python tests/benchmarks/search_efficiency.py [--from table surrogate] [--workers 1 4 16]
        [--budgets 24 60] [--seeds 30] [--methods PART ...] [--write]

Searches run over ``results/curves`` with simulated workers and the measured seconds of every epoch.
From the table, configurations are drawn at random, so only rules of early stopping differ; from the
surrogate, samplers too. Prints for each method how far it is on average behind the best random
trial of the table (regret), and how long it takes to reach what random search reaches at the
budget's end, as a share of random search's time, with a 95 % interval (bootstrap over replays).
``--write`` keeps what is printed, and a picture, under ``results/curves``.
"""

import argparse
import functools
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the tests and for worker processes

import matplotlib.pyplot as plt
import numpy as np
import optuna
from curves import FOLDER, read_curves
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from replay.policies import (
    Asking,
    Extrapolation,
    Pasha,
    Percentile,
    Promotion,
    Rounds,
    Stopping,
)
from replay.simulator import History, Policy, Source, simulate
from replay.sources import NearPoints, StockRay, Study, Table
from replay.surrogate import Measured, Surrogate

from search_spaces import load_space
from tune.options import SearchOptions
from tune.samplers import make_sampler
from tune.stopping import make_rule
from tune.stopping.asha import Asha
from tune.stopping.rule import NeverStop
from utkface.atomic import replacing
from utkface.errors import run_command

METRIC = "smooth_score"
GRID = 400  # moments at which a replay is looked at
NUM_RESAMPLES = 1000
NUM_STARTUP_TRIALS = 8  # of TPE; a search takes 5 to 10, by its size
RANDOM = "random"
_replay: Callable[[int], History]


def policies(max_epochs: int) -> dict[str, Callable[[], Policy]]:
    """Return everything that decides which trials go on, by name; none needs a sampler."""
    options = SearchOptions(space="everything", max_epochs=max_epochs)
    grace, factor = options.grace_epochs, options.reduction_factor

    def stopping(scheduler: str) -> Callable[[], Policy]:
        return lambda: Stopping(make_rule(scheduler, max_epochs, grace, factor))

    def cut(epoch: int, factor: int) -> Asha:
        rule = Asha(max_epochs, epoch, factor)
        rule.epochs = [epoch]
        return rule

    def extrapolation(epochs: list[int], width: float) -> Policy:
        before = Asha(max_epochs, epochs[0], 3)
        return Stopping(Extrapolation(before, epochs, max_epochs, width))

    return {
        RANDOM: lambda: Stopping(NeverStop()),
        f"ASHA {grace}, η {factor} (ours)": stopping("asha"),
        "hyperband (ours)": stopping("hyperband"),
        "median (ours)": stopping("median"),
        "ASHA 1, η 2": lambda: Stopping(Asha(max_epochs, 1, 2)),
        "ASHA 1, η 3": lambda: Stopping(Asha(max_epochs, 1, 3)),
        "ASHA 1, η 4": lambda: Stopping(Asha(max_epochs, 1, 4)),
        "ASHA 2, η 2": lambda: Stopping(Asha(max_epochs, 2, 2)),
        "ASHA 3, η 3": lambda: Stopping(Asha(max_epochs, 3, 3)),
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
    points: list[dict]

    @functools.cached_property
    def methods(self) -> dict[str, Callable[[int], tuple[Source, Policy]]]:
        """Return every method by where its trials are from and its name, for a replay's seed."""
        measured, surrogate = self.measured, self.surrogate
        rules = policies(measured.judged.shape[1])
        ours = next(name for name in rules if "ASHA" in name and "ours" in name)
        first = [
            (point, measured.curve(i))
            for point, i in zip(self.points, np.flatnonzero(measured.is_point), strict=True)
        ]

        def table(policy: str, points: bool) -> Callable[[int], tuple[Source, Policy]]:
            return lambda seed: (Table(measured, rng(seed), points=points), rules[policy]())

        def study(
            sampler: str, policy: str, points: bool = False, near: int | None = None
        ) -> Callable[[int], tuple[Source, Policy]]:
            def make(seed: int, num_trials: int) -> optuna.samplers.BaseSampler:
                inner_seed = (seed * 1_000_003 + num_trials) % 2**31
                inner = make_sampler(sampler, inner_seed, NUM_STARTUP_TRIALS)
                if near is None:
                    return inner
                return NearPoints(self.points, inner_seed, near, inner)

            return lambda seed: (
                Study(surrogate, functools.partial(make, seed), rng(seed), first if points else ()),
                rules[policy](),
            )

        def peer(pruner: optuna.pruners.BasePruner) -> Callable[[int], tuple[Source, Policy]]:
            def build(seed: int) -> tuple[Source, Policy]:
                sampler = TPESampler(seed=seed)
                source = Study(surrogate, lambda _: sampler, rng(seed), pruner=pruner)
                return source, Asking(source.should_prune)

            return build

        def ray(grace: int, factor: int) -> Callable[[int], tuple[Source, Policy]]:
            def build(seed: int) -> tuple[Source, Policy]:
                np.random.seed(seed)  # noqa: NPY002 - the scheduler's own choice of a bracket
                source = StockRay(surrogate, seed, measured.judged.shape[1], grace, factor)
                return source, Asking(source.stops)

            return build

        built = {f"table: {name}": table(name, False) for name in rules}
        built |= {f"table: points first, {name}": table(name, True) for name in (RANDOM, ours)}
        max_epochs = measured.judged.shape[1]
        built |= {
            "surrogate: random": study("random", RANDOM),
            f"surrogate: random, {ours}": study("random", ours),
            "surrogate: Optuna TPE + SuccessiveHalvingPruner": peer(SuccessiveHalvingPruner()),
            "surrogate: Optuna TPE + HyperbandPruner": peer(HyperbandPruner(1, max_epochs)),
            "surrogate: Ray OptunaSearch + ASHAScheduler": ray(1, 4),
            "surrogate: ours today: points, TPE, ASHA": study("tpe", ours, points=True),
            f"surrogate: TPE, {ours}": study("tpe", ours),
            "surrogate: TPE": study("tpe", RANDOM),
            "surrogate: GP": study("gp", RANDOM),
            "surrogate: points, random": study("random", RANDOM, points=True),
            f"surrogate: points, random, {ours}": study("random", ours, points=True),
            f"surrogate: points, near points × 8, TPE, {ours}": study("tpe", ours, True, near=8),
            f"surrogate: points, near points, {ours}": study("random", ours, True, near=10**9),
        }
        for rule in (
            "cut at 1, best third", "cut at 2, best quarter", "ASHA 1, η 3", "promotion 1, η 3",
            "1 epoch of 24, the best 4", "extrapolation at 2, 4",
        ):  # fmt: skip
            built[f"surrogate: TPE, {rule}"] = study("tpe", rule)
            built[f"surrogate: points, near points × 8, TPE, {rule}"] = study("tpe", rule, True, 8)
        return built

    def replay(self, method: str, num_workers: int, until_s: float, seed: int) -> History:
        """Run one search on the simulated clock."""
        return simulate(*self.methods[method](seed), num_workers, until_s)


def in_processes(
    replay: Callable[[int], History], num_seeds: int, num_processes: int
) -> list[History]:
    """Return the replay of each seed; what forked processes inherit need not be pickled."""
    if num_processes == 1:
        return [replay(seed) for seed in range(num_seeds)]
    global _replay
    _replay = replay
    with get_context("fork").Pool(num_processes) as pool:
        return pool.map(_replay_seed, range(num_seeds))


def _replay_seed(seed: int) -> History:
    return _replay(seed)


def rng(seed: int) -> np.random.Generator:
    """Return a replay's own random numbers."""
    return np.random.default_rng(seed)


@dataclass
class Replays:
    """S replays of one method, looked at in G moments: what the best complete trial is like."""

    regrets: np.ndarray  # (S, G) how far behind the best random trial of the table
    expected: np.ndarray  # (S,) the same at the end, without luck
    scores: np.ndarray  # (S,) at the end
    num_trials: float  # begun, mean over replays
    max_paused: int

    @classmethod
    def of(cls, histories: list[History], measured: Measured, times: np.ndarray) -> "Replays":
        """Read histories; before its first complete trial a search has the worst measured one."""
        ends = measured.judged[~measured.is_point, -1]
        best, worst = ends.min(), ends.max()
        regrets = np.full((len(histories), len(times)), worst - best)
        expected, scores = np.full(len(histories), worst - best), np.full(len(histories), math.nan)
        for index, history in enumerate(histories):
            incumbent = math.inf
            for completion in history.completions:
                value = completion.curve.values[-1]
                if value < incumbent and completion.time_s <= times[-1]:
                    incumbent = value
                    regrets[index, times >= completion.time_s] = value - best
                    expected[index] = completion.curve.expected - best
                    scores[index] = completion.curve.score
        num_trials = float(np.mean([len(history.epochs) for history in histories]))
        return cls(
            regrets, expected, scores, num_trials, max(history.max_paused for history in histories)
        )


def time_ratio(method: np.ndarray, random: np.ndarray, end: int) -> tuple[float, float, float]:
    """Return when a method's mean regret is random search's at moment ``end``, as a share of that.

    With its 95 % interval, over replays of both; infinite where it is never reached.
    """

    def reached(ours: np.ndarray, theirs: np.ndarray) -> float:
        there = np.flatnonzero(ours.mean(axis=0) <= theirs[:, end].mean() + 1e-12)
        return float(there[0] / end) if len(there) else math.inf

    draws = np.random.default_rng(0).integers(len(random), size=(NUM_RESAMPLES, 2, len(random)))
    samples = sorted(reached(method[a % len(method)], random[b]) for a, b in draws)
    low, high = samples[round(0.025 * NUM_RESAMPLES)], samples[round(0.975 * NUM_RESAMPLES) - 1]
    return reached(method, random), low, high


def moment(budget: int, budgets: list[int], num_workers: int) -> int:
    """Return the moment at which random search has had a number of trials."""
    share = math.ceil(budget / num_workers) / math.ceil(max(budgets) / num_workers)
    return round(share * (GRID - 1))


def compare(results: dict[str, Replays], budget: int, budgets: list[int], num_workers: int) -> str:
    """Return a table of all methods at one budget."""
    lines = ["| method | regret at 25 % | 50 % | 100 % of the time | without luck | `score` | "
             "time to random's end | trials | paused at most |", "|" + " --- |" * 9]  # fmt: skip
    end = moment(budget, budgets, num_workers)
    random = results[RANDOM].regrets
    at_end = budget == max(budgets)
    for name, replays in results.items():
        cells = [f"{replays.regrets[:, round(share * end)].mean():.3f}" for share in (0.25, 0.5, 1)]
        cells += [f"{replays.expected.mean():.3f}", f"{np.nanmean(replays.scores):.3f}"]
        ratio = ["never" if math.isinf(x) else f"{x:.2f}"
                 for x in time_ratio(replays.regrets, random, end)]  # fmt: skip
        cells[3:5] = cells[3:5] if at_end else ["", ""]
        cells += [f"{ratio[0]} ({ratio[1]} to {ratio[2]})"]
        cells += [f"{replays.num_trials:.0f}" if at_end else "", str(replays.max_paused)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


#: What the pictures show.
SHOWN = (
    RANDOM, "ASHA 2, η 3 (ours)", "cut at 2, best quarter", "promotion 1, η 3",
    "1 epoch of 24, the best 4", "extrapolation at 2, 4",
    "Optuna TPE + SuccessiveHalvingPruner", "Optuna TPE + HyperbandPruner",
    "Ray OptunaSearch + ASHAScheduler", "ours today: points, TPE, ASHA", "TPE, ASHA 2, η 3 (ours)",
)  # fmt: skip


def draw(results: dict[str, Replays], path: Path, hours: float) -> None:
    """Draw the mean regret over time of some methods."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    times = np.linspace(0, hours, GRID)
    for name, replays in results.items():
        mean = replays.regrets.mean(axis=0)
        error = replays.regrets.std(axis=0) / len(replays.regrets) ** 0.5
        (line,) = axes.plot(times, mean, label=name, linewidth=1.6)
        axes.fill_between(times, mean - error, mean + error, color=line.get_color(), alpha=0.15)
    axes.set(
        xlabel="hours on the simulated clock", xlim=(0, hours),
        ylabel=f"{METRIC} behind the best random trial of the table",
    )  # fmt: skip
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.0))
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def load_bench() -> tuple[Bench, str]:
    """Return the bench of ``results/curves`` and a paragraph on it."""
    table = read_curves()
    measured = Measured.of(table, METRIC)
    config = measured.configs[0]
    fixed = {name: config[name] for name in ("epochs", "image_size", "seed")}
    space = load_space("everything", fixed)
    surrogate = Surrogate(space, fixed, measured)
    errors = {name: error.round(2) for name, error in surrogate.errors.items()}
    shares = "; ".join(f"{name} {error[-1]:g} ({error[0]:g})" for name, error in errors.items())
    about = (
        f"{len(measured.judged)} configurations, a standard deviation of "
        f"{measured.judged[:, -1].std():.3f} between them. Surrogate: {surrogate.name}, "
        f"cross-validated error {surrogate.rmse():.3f}. Share of the variance of the last (first) "
        f"epoch that each regressor explains out of fold: {shares}."
    )
    return Bench(measured, surrogate, [space.split_point(p)[0] for p in space.points]), about


def main() -> None:
    """Replay, print and write."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--from", dest="sources", nargs="+", default=["table", "surrogate"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--budgets", nargs="+", type=int, default=[24, 60])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--methods", nargs="+", default=[""], help="parts of names, beside random")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"into {FOLDER.name}/")
    given = parser.parse_args()
    bench, about = load_bench()
    parts = ["# How soon a search finds", about]
    print(about, flush=True)
    trial_s = bench.measured.seconds.sum(axis=1).mean()
    for source in given.sources:
        for num_workers in given.workers:
            until_s = math.ceil(max(given.budgets) / num_workers) * trial_s
            times = np.linspace(0, until_s, GRID)
            results: dict[str, Replays] = {}
            for method in bench.methods:
                place, _, name = method.partition(": ")
                if place != source or not (
                    name == RANDOM or any(part in name for part in given.methods)
                ):
                    continue
                replay = functools.partial(bench.replay, method, num_workers, until_s)
                histories = in_processes(replay, given.seeds, given.processes)
                results[name] = Replays.of(histories, bench.measured, times)
            for budget in given.budgets:
                title = (
                    f"## {source.capitalize()}, {num_workers} workers, {budget} trials of random "
                    f"search ({given.seeds} replays)"
                )
                parts += [title, compare(results, budget, given.budgets, num_workers)]
                print("\n\n".join(["", *parts[-2:]]), flush=True)
            if given.write:
                shown = {name: r for name, r in results.items() if name in SHOWN} or results
                draw(shown, FOLDER / f"{source}_{num_workers}_workers.svg", until_s / 3600)
    if given.write:
        with replacing(FOLDER / "search_efficiency.md") as temporary:
            temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
