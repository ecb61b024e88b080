"""What would each scheduler have saved, and what would it have lost?

    python tests/benchmarks/early_stopping.py RUN [--orders 200]

Takes a search whose trials all ran to their end (``--scheduler none``) and plays it again under
each rule, in many random orders of its trials; how many run at a time makes no difference, as long
as all keep the same pace. Prints the share of the epochs that would have been trained, how often
the trial that is best in the end would have lived to it, and how much worse the best that is left
is on average.
"""

import argparse
import random
import statistics

from tune.options.search import SCHEDULERS, SearchOptions
from tune.records.run_folder import SearchFolder
from tune.spaces.objectives import judged_metric
from tune.study.stopping import StoppingRule, make_rule
from tune.study.store import open_study, study_records
from utkface.io import UserError, run_command

Curve = dict[int, float]


def replay(curves: list[Curve], rule: StoppingRule) -> tuple[int, list[float]]:
    """Return how many epochs are trained, and the last values of the trials that are left."""
    seen: dict[int, Curve] = {}
    finished = []
    for number, curve in enumerate(curves):
        seen[number] = {}
        for epoch, value in curve.items():
            seen[number][epoch] = value
            if rule.stops(seen, number):
                break
        else:
            finished.append(value)
    return sum(map(len, seen.values())), finished


def read_curves(folder: SearchFolder) -> list[Curve]:
    """Return the curves of the complete trials, by the metric that the search judged by."""
    metric = judged_metric(folder.record.objectives)
    records = study_records(open_study(folder.journal))
    if any(record.state == "PRUNED" for record in records):
        raise UserError(f"{folder.path.name} stopped trials early; give one of --scheduler none")
    return [
        {row["epoch"]: row[metric] for row in record.epochs}
        for record in records
        if record.state == "COMPLETE"
    ]


def main() -> int:
    """Print one line per rule."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="name or folder of a search without early stopping")
    parser.add_argument("--orders", type=int, default=200, help="random orders (default: 200)")
    given = parser.parse_args()
    folder = SearchFolder.find(SearchOptions.results, given.run)
    curves = read_curves(folder)
    options = SearchOptions(space=folder.record.space, max_epochs=folder.record.max_epochs)
    all_epochs, best = sum(map(len, curves)), min(max(c.items())[1] for c in curves)
    print(f"{folder.path.name}: {len(curves)} trials of {options.max_epochs} epochs")
    print(f"{'scheduler':<10} epochs trained  best survives  left behind")
    for name in SCHEDULERS:
        rule = make_rule(name, options.max_epochs, options.grace_epochs, options.reduction_factor)
        shares, lost = [], []
        for seed in range(given.orders):
            shuffled = random.Random(seed).sample(curves, len(curves))
            num_epochs, finished = replay(shuffled, rule)
            shares.append(num_epochs / all_epochs)
            lost.append(min(finished) - best)
        survives = statistics.fmean(value == 0 for value in lost)
        share, behind = statistics.fmean(shares), statistics.fmean(lost)
        print(f"{name:<10} {share:>14.0%}  {survives:>13.0%}  {behind:>11.4f}")
    return 0


if __name__ == "__main__":
    run_command(main)
