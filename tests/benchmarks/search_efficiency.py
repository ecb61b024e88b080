"""Which way of searching finds good configurations soonest? Replayed over learning curves.

    python tests/benchmarks/search_efficiency.py [--from table surrogate] [--workers 1 4 16]
        [--budgets 24 60] [--seeds 30] [--methods PART ...] [--write]

Searches run over ``results/curves`` with simulated workers and the measured seconds of every epoch.
From the table, configurations are drawn at random, so only rules of early stopping differ; from the
surrogate, samplers too. Prints for each method how far it is on average behind the best random
trial of the table (regret), and how long it takes to reach what random search reaches at the
budget's end, as a share of random search's time, with a 95 % interval (bootstrap over replays); the
same for this project's search against each other method.
``--write`` keeps what is printed, and a picture, under ``results/curves``, a table for each number
of workers.
"""

import argparse
import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import optuna
from curves import FOLDER, read_curves
from replay.methods import OURS, RANDOM, Bench
from replay.simulator import History
from replay.surrogate import Measured, Surrogate

from tune.spaces.space import load_space
from utkface.io import replacing, run_command

METRIC = "smooth_score"
GRID = 400  # moments at which a replay is looked at
NUM_RESAMPLES = 1000
_replay: Callable[[int], History]


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


def compare_peers(
    results: dict[str, Replays], budget: int, budgets: list[int], num_workers: int
) -> str:
    """Return when ours has reached what each peer reaches at the budget's end, as a share of that.

    With its 95 % interval; nothing where ours was not replayed.
    """
    if OURS not in results:
        return ""
    end = moment(budget, budgets, num_workers)
    lines = [f"| {OURS}, against | time to its end |", "| --- | --- |"]
    for name, replays in results.items():
        if name != OURS:
            ratio = time_ratio(results[OURS].regrets, replays.regrets, end)
            shown = ["never" if math.isinf(x) else f"{x:.2f}" for x in ratio]
            lines.append(f"| {name} | {shown[0]} ({shown[1]} to {shown[2]}) |")
    return "\n".join(lines)


#: What the pictures show.
SHOWN = (
    RANDOM, "ASHA 3, η 3 (ours)", "ASHA 1, η 2", "promotion 1, 2, 4, η 2", "hyperband 2, η 3",
    "1 epoch of 24, the best 4", "extrapolation at 1 to 7",
    "Optuna TPE + SuccessiveHalvingPruner", "Optuna TPE + HyperbandPruner",
    "Ray OptunaSearch + ASHAScheduler", "TPE, ASHA 3, η 3 (ours)", "points, random",
    "points, Ray OptunaSearch + ASHAScheduler", OURS,
)  # fmt: skip


def draw(results: dict[str, Replays], path: Path, minutes: float, num_workers: int) -> None:
    """Draw the mean regret over time of some methods."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    times = np.linspace(0, minutes, GRID)[::4]
    for name, replays in results.items():
        mean = replays.regrets.mean(axis=0)[::4].round(4)
        error = (replays.regrets.std(axis=0) / len(replays.regrets) ** 0.5)[::4]
        (line,) = axes.plot(times, mean, label=name, linewidth=1.6)
        axes.fill_between(times, mean - error, mean + error, color=line.get_color(), alpha=0.15)
    axes.set(
        xlabel=f"minutes on the simulated clock, {num_workers} workers", xlim=(0, minutes),
        ylabel=f"{METRIC} behind the best random trial of the table",
    )  # fmt: skip
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.0))
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, metadata={"Date": None})
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
        f"{len(measured.judged)} configurations, {measured.is_point.sum()} of them the space's own "
        "starting points. "
        "Budgets near the number of the others say little: from the table, every method then finds "
        f"the same best trial. The configurations have a standard deviation of "
        f"{measured.judged[:, -1].std():.3f} between them. Surrogate: {surrogate.name}, "
        f"cross-validated error {surrogate.rmse():.3f}. Share of the variance of the last (first) "
        f"epoch that each regressor explains out of fold: {shares}."
    )
    return Bench(measured, surrogate, [space.split_point(p)[0] for p in space.points]), about


def main() -> None:
    """Replay, print and write."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "curves"}  # small, and the same again
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
    print(about, flush=True)
    trial_s = bench.measured.seconds.sum(axis=1).mean()
    for num_workers in given.workers:
        until_s = math.ceil(max(given.budgets) / num_workers) * trial_s
        times = np.linspace(0, until_s, GRID)
        parts = ["# How soon a search finds", about]
        for source in given.sources:
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
                tables = [
                    table(results, budget, given.budgets, num_workers)
                    for table in (compare, compare_peers)
                ]
                parts += [title, *filter(None, tables)]
                print("\n\n".join(["", title, *filter(None, tables)]), flush=True)
            if given.write:
                shown = {name: r for name, r in results.items() if name in SHOWN} or results
                path = FOLDER / f"{source}_{num_workers}_workers.svg"
                draw(shown, path, until_s / 60, num_workers)
        if given.write:
            with replacing(FOLDER / f"search_efficiency_{num_workers}_workers.md") as temporary:
                temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
