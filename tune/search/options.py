"""The search command's options: declared, parsed, recorded in ``search.json``, merged on resume."""

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tune.spaces.objectives import DEFAULT_OBJECTIVES, OBJECTIVES, check_objectives
from utkface.io import UserError

# Named here and not imported: a command line is to be checked before Optuna or pandas load.
SAMPLERS = ("tpe", "random", "gp", "nsga2")
#: Rules of early stopping (`tune.study.stopping`), and what each is good for.
SCHEDULERS = {
    "asha": "saves most: good where a trial's first epochs tell how it ends",
    "hyperband": "asha for most trials, later or no judgement for some: good for slow starters",
    "median": "stops clearly poor trials alone: good for few trials and noisy curves",
    "none": "every trial runs to its end: good for finding out what first epochs tell",
}
PROTOCOLS = ("grouped", "random")

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a search was asked to do; None means that the machine decides (`tune.cluster`)."""

    # What is searched: a search that goes on must keep these, or its trials could not be compared.
    space: str
    objective: str | None = None  # names, with commas between them; None: what the space declares
    seed: int = 0
    max_epochs: int = 12
    image_size: int = 64
    fraction: float = 1.0
    split: str = "grouped"
    weights: str = "imagenet"
    sampler: str = "tpe"
    scheduler: str = "asha"
    grace: int | None = None  # see grace_epochs
    reduction_factor: int = 3
    warm_start: str | None = None  # names or paths of runs, with commas between them

    # How it is carried out: may differ from session to session.
    data: list[str] | None = None
    num_trials: int = 24
    confirm: bool = True  # train the best again with fresh seeds, see `tune.search.confirm`
    time_budget: float | None = None  # seconds
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    concurrency: int | None = None
    wandb: str | None = None
    address: str | None = None
    storage: str | None = None
    results: Path = REPOSITORY / "results"

    def __post_init__(self) -> None:
        """Check what argparse's types do not."""
        rules = {
            "num_trials": self.num_trials >= 1,
            "fraction": 0 < self.fraction <= 1,
            "grace": self.grace is None or self.grace >= 1,
            "reduction_factor": self.reduction_factor >= 2,
            "concurrency": self.concurrency is None or self.concurrency >= 1,
            "time_budget": self.time_budget is None or self.time_budget > 0,
            "cpus_per_trial": self.cpus_per_trial is None or self.cpus_per_trial > 0,
            "gpus_per_trial": self.gpus_per_trial is None or self.gpus_per_trial >= 0,
        }
        allowed = {
            "num_trials": "1 or more",
            "fraction": "above 0, up to 1",
            "reduction_factor": "2 or more",
            "grace": "1 or more",
            "concurrency": "1 or more",
            "gpus_per_trial": "0 or more",
        }
        for name, holds in rules.items():
            if not holds:
                flag, value = "--" + name.replace("_", "-"), getattr(self, name)
                raise UserError(
                    f"{flag} {value} is not possible; allowed: {allowed.get(name, 'above 0')}"
                )

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

        By default a quarter of the budget. Measured on UTKFace (``results/``: oversampling, 16
        trials of up to 8 epochs): the trial that ended best was tenth after one epoch, while its
        learning rate was still rising, and first of the seven left after three.
        """
        return self.grace or max(1, self.max_epochs // 4)

    @property
    def fixed(self) -> dict[str, int]:
        """The `TrainConfig` fields that are the same in every trial."""
        return {"epochs": self.max_epochs, "image_size": self.image_size, "seed": self.seed}

    def to_dict(self) -> dict[str, Any]:
        """Return the options for ``search.json``, which may move along with its folder."""
        return {name: value for name, value in vars(self).items() if name != "results"}

    def resumed_with(self, given: dict[str, Any]) -> Self:
        """Return the options of a search that goes on, with what the command line changes.

        Raises `UserError` when an option that decides what is searched was given differently.
        """
        for name in COMPARABLE:
            if name in given and given[name] != getattr(self, name):
                flag = "--" + name.replace("_", "-")
                raise UserError(
                    f"{flag} {given[name]} differs from {getattr(self, name)} of the search to "
                    "resume; leave it out, or start a new search"
                )
        return dataclasses.replace(self, **given)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read options back from ``search.json``; the first searches had no other objective."""
        return cls(**{"objective": "score", **values})


#: Options in which a resumed search must agree with its beginning.
COMPARABLE = (
    "space", "objective", "seed", "max_epochs", "image_size", "fraction", "split", "weights",
    "sampler", "scheduler", "grace", "reduction_factor", "warm_start",
)  # fmt: skip


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
    add = parser.add_argument
    add("--space", help="name of a search space, or path of your own .py file")
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
    _add_data_options(parser.add_argument_group("data"))
    _add_search_options(parser.add_argument_group("search"))
    add_resource_options(parser.add_argument_group("resources"))
    return parser


def _add_data_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    sources = "$UTKFACE_DATA, else data/UTKFace, else archives in data/"
    kinds = "folder or archives of UTKFace, 'kaggle', or 'demo'"
    add("--data", nargs="+", help=f"{kinds} (default: {sources})")
    add("--image-size", type=int, help="pixels (default: 64)")
    add("--fraction", type=float, help="share of the training part to use (default: 1)")
    add("--split", choices=PROTOCOLS, help="default: grouped, copies of a photograph together")
    add("--weights", help="backbone: imagenet (default), none, or the path of a file")


def _add_search_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--num-trials", type=int, help="all trials, of all sessions of this search (default: 24)")
    add(
        "--no-confirm",
        dest="confirm",
        action="store_false",
        help="do not train the three best and the best starting point again with two fresh seeds",
    )
    add("--time-budget", type=float, metavar="S", help="seconds to search; can be resumed")
    add("--max-epochs", type=int, help="full budget of a trial (default: 12)")
    add(
        "--objective",
        metavar="A[,B]",
        help="what to minimise, several for a Pareto front (default: what the space declares, "
        f"mostly smooth_score): {', '.join(OBJECTIVES)}",
    )
    add("--sampler", choices=SAMPLERS, help="default: tpe; nsga2 is for several objectives")
    add("--scheduler", choices=SCHEDULERS, help="early stopping, see below (default: asha)")
    add("--grace", type=int, help="the first epoch judged (default: max-epochs / 4)")
    add("--reduction-factor", type=int, help="asha, hyperband: 1 in so many goes on (default: 3)")
    add("--seed", type=int, help="default: 0")
    add("--warm-start", metavar="RUN[,RUN]", help="begin with what earlier searches learned")
    modes = ("online", "offline", "disabled")
    add("--wandb", choices=modes, help="default: online with an API key, else offline")


def add_resource_options(group: argparse._ArgumentGroup) -> None:
    """Declare where trials run and where their files are kept."""
    add = group.add_argument
    add("--cpus-per-trial", type=float, help="default: 1, on a GPU its share of the cores")
    add(
        "--gpus-per-trial",
        type=auto_or_number,
        metavar="auto|N",
        help="may be a fraction (default: auto, by the card's memory and one measured trial)",
    )
    add("--concurrency", type=int, help="trials at a time (default: as many as fit)")
    add("--address", help="a Ray cluster: host:port, auto or ray://… (default: this machine)")
    add(
        "--storage",
        type=_storage,
        help="folder or URI for checkpoints that all nodes reach (default: the run's)",
    )
    add("--results", type=Path, help="folder for run folders (default: results/)")


def _storage(place: str) -> str:
    """Return a URI as it is, and a path in full: nodes know nothing of the folder we are in."""
    return place if "://" in place else str(Path(place).expanduser().absolute())


def auto_or_number(value: str) -> float | None:
    """Return a number, or None for "auto"; argparse tells a wrong value by this function's name."""
    return None if value == "auto" else float(value)
