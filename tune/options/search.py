"""The search command's options, kept in ``search.json`` and merged when a search goes on."""

import argparse
from dataclasses import MISSING, dataclass
from pathlib import Path

from tune.options import PROTOCOLS, WANDB_HELP, WANDB_MODES, Options, add_options, option
from tune.spaces.objectives import DEFAULT_OBJECTIVES, OBJECTIVES, check_objectives
from utkface.io import UserError

# Named here and not imported: a command line is to be checked before Optuna or pandas load.
SAMPLERS = ("tpe", "random")
#: Rules of early stopping (`tune.study.stopping`), and what each is good for.
SCHEDULERS = {
    "asha": "at a rung only the best so far go on: finds good trials soonest",
    "none": "every trial runs to its end: good for finding out what first epochs tell",
}


def _space(name_or_path: str) -> str:
    """Return a name as it is, and a file's path in full: a search may go on from elsewhere."""
    is_file = name_or_path.endswith(".py") and Path(name_or_path).is_file()
    return str(Path(name_or_path).absolute()) if is_file else name_or_path


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Options):
    """What a search was asked to do; None means that the space or the machine decides."""

    space: str = option(  # to resume it may lie elsewhere, if it asks the same
        "name of a search space, or path of your own .py file", MISSING, type=_space, section=""
    )

    data: list[str] | None = option(
        "folder or archives of UTKFace, 'kaggle', or 'demo' "
        "(default: $UTKFACE_DATA, else data/UTKFace, else archives in data/)",
        section="data",
    )
    image_size: int = option("pixels", 64, same=True)
    fraction: float = option(
        "share of the training part to use", 1.0, same=True, above=0, at_most=1
    )
    split: str = option(
        "default: grouped, copies of a photograph together", "grouped", same=True, choices=PROTOCOLS
    )
    weights: str = option("backbone: imagenet (default), none, or the path of a file", "imagenet")

    num_trials: int = option(
        "all trials, of all sessions of this search", 24, at_least=1, section="search"
    )
    confirm: bool = option(  # see `tune.search.confirm`
        "train the best and the best starting point again, with fresh seeds (default: on)", True
    )
    finalists: int = option("so many of the best are trained again at the end", 3, at_least=1)
    fresh_seeds: int = option("with so many fresh seeds each; more are surer", 2, at_least=1)
    time_budget: float | None = option("seconds to search; can be resumed", above=0, metavar="S")
    max_epochs: int = option("full budget of a trial", 12, same=True)
    objective: str | None = option(
        "what to minimise, several for a Pareto front (default: what the space declares, mostly "
        f"smooth_score): {', '.join(OBJECTIVES)}",
        same=True,
        metavar="A[,B]",
    )
    sampler: str = option(
        "default: tpe; random is for comparisons", "tpe", same=True, choices=SAMPLERS
    )
    scheduler: str = option("early stopping, see below", "asha", same=True, choices=SCHEDULERS)
    grace: int | None = option(
        "the first epoch judged (default: 3/8 of max-epochs)", same=True, at_least=1
    )
    reduction_factor: int = option("asha: 1 in so many goes on", 3, same=True, at_least=2)
    seed: int = option("", 0, same=True)
    warm_start: str | None = option(
        "begin with what earlier searches learned", same=True, metavar="RUN[,RUN]"
    )
    wandb: str | None = option(WANDB_HELP, choices=WANDB_MODES)

    def __post_init__(self) -> None:
        """Check what argparse's types do not."""
        super().__post_init__()
        check_objectives(self.objectives)
        if self.scheduler != "none" and self.grace and self.grace >= max(2, self.max_epochs):
            raise UserError(
                f"--grace {self.grace} leaves no epoch to judge before the last of --max-epochs "
                f"{self.max_epochs}; allowed: less, or --scheduler none"
            )

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is minimised, by names of metrics."""
        if self.objective is None:
            return DEFAULT_OBJECTIVES
        return tuple(name.strip() for name in self.objective.split(","))

    @property
    def grace_epochs(self) -> int:
        """The epoch after which early stopping first judges a trial.

        By default three eighths of the budget, when the rate of a one-cycle schedule has passed its
        peak. In ``results/curves`` the order of the better half of the trials agrees with that at
        the end by 0.35 after the first of 8 epochs, 0.79 after the second and 0.91 after the third
        (rank correlation). Replayed searches near starting points end as well when first judged
        after the second, and worse when judged after the first.
        """
        return self.grace or max(1, round(3 / 8 * self.max_epochs))

    @property
    def num_kept(self) -> int:
        """How many complete trials' checkpoints are kept at most: of all that may be the best."""
        return self.finalists + 1 if self.confirm else 1  # and the best starting point

    @property
    def fixed(self) -> dict[str, int]:
        """The `TrainConfig` fields that are the same in every trial."""
        return {"epochs": self.max_epochs, "image_size": self.image_size, "seed": self.seed}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tune/run_search.py``; options not given are absent from its result."""
    parser = argparse.ArgumentParser(
        prog="python tune/run_search.py",
        description="Search hyperparameters with Ray Tune and Optuna.",
        epilog="schedulers (early stopping):\n"
        + "\n".join(f"  {name:<10} {use}" for name, use in SCHEDULERS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add_options(parser, SearchOptions, [""])
    add = parser.add_argument
    add("--list-spaces", action="store_true", help="print the spaces and their questions, and end")
    add(
        "--list-parameters",
        action="store_true",
        help="print every hyperparameter with its default, meaning and range, and end",
    )
    add(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with an interrupted search: its name or folder (default: the newest)",
    )
    add(
        "--resume-anyway",
        action="store_true",
        help="with --resume: also on another kind of device than the search began on",
    )
    add(
        "--compare",
        nargs="+",
        metavar="RUN",
        help="write a page about several searches side by side, and end",
    )
    add("--output", type=Path, help="with --compare: the page (default: in results/)")
    add("--dry-run", action="store_true", help="check everything, say what would be done, and end")
    add_options(parser, SearchOptions, ["data", "search", "resources"])
    return parser
