"""``--dry-run``: everything checked, nothing started, and what a search would do in words."""

from rich.console import Console
from rich.table import Table

from tune.options.search import SearchOptions
from tune.search.prepare import Prepared, prepare
from tune.search.warm_start import plan_warm_start, read_runs
from tune.spaces.objectives import Settings, describe_objectives
from utkface.config import TrainConfig
from utkface.sampling import age_distribution


def explain(options: SearchOptions) -> int:
    """Print the data, the space and the first points of a search; return exit status 0."""
    console = Console(highlight=False, soft_wrap=True)
    past_runs = read_runs(options.results, options.warm_start)
    prepared = prepare(options)
    data, space = prepared.describe_data(), prepared.space
    console.print(f"[bold]{space.name}[/]: {space.question}")
    console.print(
        f"faces: {data.num_faces} of {data.source} ({data.num_rejected} rejected); "
        f"{options.split} split: train {data.num_train}, validation {data.num_val}, "
        f"test {data.num_test}"
    )
    console.print(
        f"trials: {options.num_trials} of up to {options.max_epochs} epochs at "
        f"{options.image_size} px; sampler {options.sampler}, scheduler {options.scheduler}"
    )
    console.print(f"minimised: {describe_objectives(prepared.options.objectives)}")
    for line in plan_warm_start(past_runs, prepared).notes:
        console.print(f"warm start: {line}")
    _print_parameters(console, prepared)
    for remark in space.remarks:
        console.print(remark)
    configs = space.example_configs(options.fixed)  # those of the points come first
    for index, point in enumerate(space.points):
        params, overrides = space.split_point(point)
        console.print(f"\n[bold]point {index}[/], tried first: {_settings(params)}")
        console.print(f"  beyond the space: {_settings(overrides) or 'nothing'}")
        _print_ages(console, prepared, configs[index])
    return 0


def _settings(values: Settings) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _print_parameters(console: Console, prepared: Prepared) -> None:
    table = Table("hyperparameter", "range", title="what varies", title_justify="left")
    for name, parameter in prepared.space.signature().parameters.items():
        table.add_row(name, " or ".join(parameter.ranges))
    console.print(table)


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
