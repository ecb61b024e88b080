"""A search under attack, and the same for Ray's own way to go on after a crash.

    python tests/chaos/soak.py [--kills 25] [--seed N] [--out results/chaos-DATE]

Runs a search whose training only sleeps, kills its driver, a worker or a node with -9, cuts its
newest file short or flips bytes of its journal, at random moments, resumes it each time, and checks
what is on record at the end. Then kills the driver of a stock `Tuner` with `OptunaSearch` and
`ASHAScheduler` as often, at moments drawn alike, and restores it with `Tuner.restore`. Prints the
scorecards side by side.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.process import BaseProcess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(REPOSITORY))
# Before ray is imported, as it reads them then. The machine may be busy with other things.
os.environ.update(RAY_AUTH_MODE="disabled", RAY_raylet_start_wait_time_s="600")
os.environ.update(RAY_worker_niceness="0", OMP_NUM_THREADS="1")

# ruff: noqa: E402
from attack import (
    DRIVER,
    FLIP,
    NODE,
    TRUNCATE,
    WORKER,
    SmallCluster,
    flip_bytes,
    kill_driver,
    kill_worker,
    plan,
    truncate_newest,
)
from our_driver import run as run_ours
from scorecard import Scorecard, judge, judge_run_folder, to_markdown
from stock_driver import run as run_stock
from witness import Testimony

MAX_EPOCHS, EPOCH_S, CONCURRENCY = 9, 0.5, 2
#: Seconds of progress between a search's going on and the next attack. Ray writes its state at most
#: every ten seconds, so much shorter sessions would leave the stock search nothing to restore.
PROGRESS_S = (1.0, 25.0)
PATIENCE_S = 600.0
#: Drivers are processes of their own, forked from one that has imported everything: a search that
#: starts takes a second or two instead of ten, so that the attacks are most of what happens.
DRIVERS = multiprocessing.get_context("forkserver")
DRIVERS.set_forkserver_preload(["__main__", "our_driver", "stock_driver"])


class Soak:
    """One search in its folder, from its first start to its end."""

    def __init__(self, folder: Path, chance: random.Random, progress_s: tuple[float, float]):
        folder.mkdir()
        self.folder, self.chance, self.progress_s = folder, chance, progress_s
        self.witness, self.log = folder / "witness.jsonl", folder / "log.txt"
        self.work = {
            "witness": str(self.witness), "epoch_s": EPOCH_S, "concurrency": CONCURRENCY,
            "max_epochs": MAX_EPOCHS,
        }  # fmt: skip
        self.kills: Counter[str] = Counter()
        self.damaged: Counter[str] = Counter()
        self.failed_restarts = 0

    def start(self, run: Callable[..., None], *arguments: object) -> BaseProcess:
        """Start a driver."""
        process = DRIVERS.Process(target=_logged, args=(self.log, run, self.work, *arguments))
        process.start()
        return process

    def let_it_work(self, process: BaseProcess) -> bool:
        """Wait for a random while after the search goes on; say whether it is still running."""
        before, deadline = self.testimony().num_epochs, time.monotonic() + PATIENCE_S
        while process.is_alive() and self.testimony().num_epochs == before:
            assert time.monotonic() < deadline, f"the search stands still, see {self.log}"
            time.sleep(0.1)
        process.join(self.chance.uniform(*self.progress_s))
        return process.is_alive()

    def testimony(self) -> Testimony:
        """Return what the witnesses saw so far."""
        return Testimony.read(self.witness)


def _logged(log: Path, run: Callable[..., None], *arguments: object) -> None:
    """Run a driver with all its output in a file."""
    with log.open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    run(*arguments)


def soak_ours(soak: Soak, cluster: SmallCluster, attacks: list[str]) -> Scorecard:
    """Attack this project's search, and judge it."""
    start_s, results = time.monotonic(), soak.folder / "results"
    there = ["--results", str(results), "--address", cluster.address]
    process = soak.start(run_ours, [
        "--space", "quick", "--data", "demo", "--weights", "none",
        "--no-confirm", "--wandb", "disabled",
        "--image-size", "32", "--num-trials", "10000", "--max-epochs", str(MAX_EPOCHS),
        "--grace", "1", "--concurrency", str(CONCURRENCY), *there,
    ])  # fmt: skip
    for number, attack in enumerate(attacks, start=1):
        if not soak.let_it_work(process):
            raise SystemExit(f"the search ended by itself, see {soak.log}")
        print(f"{number:3} {attack}", flush=True)
        soak.kills[attack] += 1
        if attack == WORKER:
            kill_worker(soak.testimony().last_pid)
        elif attack == NODE:
            cluster.lose_node()
        else:
            kill_driver(process)
            if attack != DRIVER:
                (run,) = results.iterdir()
                damage = {TRUNCATE: truncate_newest, FLIP: flip_bytes}[attack]
                soak.damaged[damage(run, soak.chance)] += 1
            process = soak.start(run_ours, ["--resume", *there])
    if soak.let_it_work(process):
        kill_driver(process)  # and once more, to end the search with the trials that it has
        soak.kills[DRIVER] += 1
    # One more each worker may have begun, with no epoch for the witness to see yet.
    num_trials = max(int(trial) for trial, _ in soak.testimony().epochs) + 1 + CONCURRENCY
    process = soak.start(run_ours, ["--resume", "--num-trials", str(num_trials), *there])
    process.join(PATIENCE_S)
    if process.exitcode != 0:
        last_line = soak.log.read_text(errors="replace").rstrip().rpartition("\n")[2]
        raise SystemExit(f"the search failed, see {soak.log}: {last_line}")
    (run,) = results.iterdir()
    card = judge_run_folder(run, soak.testimony(), soak.kills)
    card.damaged, card.wall_s = dict(soak.damaged), round(time.monotonic() - start_s, 1)
    return card


def soak_stock(soak: Soak, cluster: SmallCluster, num_kills: int, num_trials: int) -> Scorecard:
    """Kill the driver of a stock search, and judge it; worker and node are left alone."""
    start_s, run = time.monotonic(), soak.folder / "stock" / "run"
    arguments = (run_stock, run, cluster.address, num_trials)
    process = soak.start(*arguments)
    while True:
        if soak.kills[DRIVER] < num_kills:
            if soak.let_it_work(process):
                kill_driver(process)
                soak.kills[DRIVER] += 1
                print(f"{soak.kills[DRIVER]:3} {DRIVER}", flush=True)
        else:
            process.join(4 * PATIENCE_S)
        if process.exitcode == 0:
            break
        soak.failed_restarts += process.exitcode != -signal.SIGKILL
        if soak.failed_restarts > num_kills:
            raise SystemExit(f"the stock search cannot go on, see {soak.log}")
        process = soak.start(*arguments)
    final = json.loads((run.parent / "results.json").read_text())
    return Scorecard(
        kills=dict(soak.kills), wrong=0, failed_restarts=soak.failed_restarts, files_left=[],
        disagreements=[], wall_s=round(time.monotonic() - start_s, 1),
        **judge(soak.testimony(), final),
    )  # fmt: skip


def main() -> None:
    """Run both searches, print their scorecards and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--progress", type=float, nargs=2, default=PROGRESS_S, metavar="S")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--out", type=Path, help="write OUT.json and OUT.md")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {given.seed}, in {folder}", flush=True)
    chance = random.Random(given.seed)
    cards = {}
    with contextlib.closing(SmallCluster()) as cluster:
        attacks = plan(given.kills, chance)
        ours = cards["this project"] = soak_ours(
            Soak(folder / "ours", chance, given.progress), cluster, attacks
        )
        if not given.ours_only:
            num_kills = sum(ours.kills.get(kind, 0) for kind in (DRIVER, TRUNCATE, FLIP))
            stock = Soak(folder / "stock", chance, given.progress)
            cards["stock Tuner.restore"] = soak_stock(stock, cluster, num_kills, ours.trials)
    print(to_markdown(cards))
    for problem in (*ours.files_left, *ours.disagreements):
        print("this project:", problem)
    if given.out:
        found = {"seed": given.seed} | {name: asdict(card) for name, card in cards.items()}
        given.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
        given.out.with_suffix(".md").write_text(f"Seed {given.seed}\n\n{to_markdown(cards)}\n")


if __name__ == "__main__":
    main()
