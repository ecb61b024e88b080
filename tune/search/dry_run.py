"""``--dry-run``: everything checked as for a search, nothing kept, and what it would do in words.

Ray is started, or the cluster joined, as for a search: what trials would get there is known then.
"""

import math
from contextlib import ExitStack

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune import cluster
from tune.execution.trainable import time_epoch
from tune.options.search import SearchOptions
from tune.search.prepare import Prepared, join, prepare, rungs_of
from tune.search.warm_start import WarmStart, plan_warm_start, read_runs
from tune.spaces.objectives import Settings, describe_objectives
from tune.tracking.wandb_logger import resolve_mode
from utkface.config import TrainConfig
from utkface.evaluation.report.text import show_duration
from utkface.sampling import age_distribution


def explain(options: SearchOptions) -> int:
    """Print the data, the space and the plan of a search; return exit status 0."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    past_runs = read_runs(options.results, options.warm_start)
    prepared = prepare(options)
    data, space, options = prepared.describe_data(), prepared.space, prepared.options
    console.print(Text.assemble((space.name, "bold"), f": {space.question}"))
    console.print(
        f"faces: {data.num_faces} of {data.source} ({data.num_rejected} rejected); "
        f"{options.split} split: train {data.num_train}, validation {data.num_val}, "
        f"test {data.num_test}"
    )
    console.print(
        f"trials: {options.num_trials} of up to {options.max_epochs} epochs at "
        f"{options.image_size} px; sampler {options.sampler}, scheduler {options.scheduler}"
    )
    console.print(f"minimised: {describe_objectives(options.objectives)}")
    mode, wandb_line = resolve_mode(options.wandb)
    console.print(f"W&B: {wandb_line or mode}")
    warm_start = plan_warm_start(past_runs, prepared)
    _print_space(console, prepared, warm_start)
    with ExitStack() as stack:
        joined = join(stack, prepared, console.print)
        _print_plan(console, prepared, joined.resources)
    return 0


def _print_space(console: Console, prepared: Prepared, warm_start: WarmStart) -> None:
    """Show what varies and what does not, and the trials that come first."""
    space = prepared.space
    signature = space.signature()
    num_draws = len(space.draws)
    table = Table("hyperparameter", "range", "suggested", title="what varies", title_justify="left")
    for name, entry in signature.parameters.items():
        share = entry.num_draws / num_draws
        when = "always" if share == 1 else f"in {share:.0%} of random trials"
        table.add_row(name, " or ".join(entry.ranges), when)
    console.print(table)
    if signature.constants:
        console.print(f"constants: {_settings(signature.constants)}")
    console.print("everything else: as --list-parameters says")
    for remark in space.remarks:
        console.print(remark)
    for line in warm_start.notes:
        console.print(f"warm start: {line}")
    for tried in warm_start.points:
        console.print(f"tried first, from {tried.run}: {_settings(tried.params)}")
    defaults = TrainConfig().to_dict()
    configs = space.example_configs(prepared.options.fixed)  # those of the points come first
    for index, point in enumerate(space.points):
        params, overrides = space.split_point(point)
        console.print(f"\npoint {index}, tried first: {_settings(params)}")
        other = {name: v for name, v in overrides.items() if v != defaults[name]}
        console.print(f"  beyond the space, unlike the defaults: {_settings(other) or 'nothing'}")
        _print_ages(console, prepared, configs[index])


def _settings(values: Settings) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _print_ages(console: Console, prepared: Prepared, config: TrainConfig) -> None:
    """Show how often faces of each age are drawn, where the configuration oversamples."""
    if config.oversample_by == "none":
        return
    rows = prepared.faces.table.iloc[prepared.split.train]
    age, gender, race = (rows[name].to_numpy() for name in ("age", "gender", "race"))
    table = Table("age", "faces", "draws per epoch", "share before", "after")
    for row in age_distribution(age, gender, race, config).itertuples():
        before, after = f"{row.share_before:.1%}", f"{row.share_after:.1%}"
        table.add_row(str(row.bin), str(row.faces), f"{row.draws:.0f}", before, after)
    console.print(table)


def _print_plan(console: Console, prepared: Prepared, resources: cluster.Resources) -> None:
    """Show what trials get, and what the search takes of time and disk."""
    options, longest = prepared.options, prepared.options.max_epochs
    each = [f"{resources.cpus_per_trial:g} CPU"]
    if resources.gpus_per_trial:
        each.append(f"{resources.gpus_per_trial:g} GPU")
    if resources.memory_per_trial:
        each.append(f"up to {resources.memory_per_trial / 2**30:.1f} GiB of memory")
    console.print(f"\nworkers: {resources.concurrency} trials at a time, {', '.join(each)} each")
    if resources.gpus_per_trial or options.address:
        console.print("time: known after the first trials; this machine is not what trains")
        return
    config = prepared.space.example_configs(options.fixed)[0]
    rows = prepared.split.train, prepared.split.val
    epoch_s, checkpoint_bytes = time_epoch(prepared.faces, rows, config)
    num_finalists = min(options.num_kept, options.num_trials) if options.confirm else 0
    num_again = num_finalists * options.fresh_seeds
    again = epochs_in_a_row(num_again * longest, num_again, longest, resources)
    about, most = (
        epochs_in_a_row(n, options.num_trials, longest, resources) + again
        for n in (expected_epochs(options), options.num_trials * longest)
    )
    console.print(
        f"time: about {show_duration(about * epoch_s)}, {show_duration(most * epoch_s)} if no "
        f"trial is stopped early; an epoch takes a core {show_duration(epoch_s)} with the first "
        "point's configuration"
    )
    num_kept = resources.concurrency + options.num_kept
    console.print(f"disk: about {num_kept * checkpoint_bytes / 1e6:.0f} MB of checkpoints")


def epochs_in_a_row(
    num_epochs: int, num_trials: int, max_epochs: int, resources: cluster.Resources
) -> float:
    """Return how many epochs pass one after the other where trials share the workers."""
    if not num_trials:
        return 0
    return max(num_epochs / min(resources.concurrency, num_trials), max_epochs)


def expected_epochs(options: SearchOptions) -> int:
    """Return how many epochs a search trains where each rung stops what it is meant to stop.

    A first look: early on, fewer trials are stopped, as they have nothing to be compared with.
    """
    share, epochs, before = 1.0, 0.0, 0
    for epoch in [*rungs_of(options), options.max_epochs]:
        epochs += share * (epoch - before)
        share, before = share / options.reduction_factor, epoch
    return math.ceil(options.num_trials * epochs)
