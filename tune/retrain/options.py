"""The retraining command's options: declared, checked, kept in ``retrain.json``."""

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tune.search.options import PROTOCOLS, REPOSITORY, add_resource_options
from utkface.io import UserError

PARTS = ("test", "validation")


@dataclass(frozen=True, kw_only=True)
class RetrainOptions:
    """What is to be retrained and how; None means that the search or the machine decides."""

    # What is trained: a retraining that goes on keeps these.
    search: str | None = None  # name or folder; None: the newest finished one
    config: list[str] | None = None  # instead of a search
    top_k: int = 1
    splits: list[str] = dataclasses.field(default_factory=lambda: list(PROTOCOLS))
    part: str = "test"
    epochs: int | None = None
    image_size: int | None = None
    initial_image_size: int | None = None
    weights: str | None = None

    # How it is carried out and judged: may differ from session to session.
    seeds: int = 3
    data: list[str] | None = None
    flip: bool = False
    intervals: bool = True
    baselines: bool = True
    explain: int = 8  # faces per LIME sheet; 0: none
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    concurrency: int | None = None
    wandb: str | None = None
    address: str | None = None
    storage: str | None = None
    results: Path = REPOSITORY / "results"

    def __post_init__(self) -> None:
        """Check what argparse's types do not."""
        lowest = {"top_k": 1, "seeds": 1, "epochs": 1, "explain": 0, "concurrency": 1}
        for name, low in lowest.items():
            value = getattr(self, name)
            if value is not None and value < low:
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} {value} is not possible; allowed: {low} or more")
        if self.search is not None and self.config:
            raise UserError("--search and --config exclude each other; give one of them")
        if len(set(self.splits)) < len(self.splits):
            raise UserError(f"--splits names {' '.join(self.splits)}; give each protocol once")

    def to_dict(self) -> dict[str, Any]:
        """Return the options for ``retrain.json``, which may move along with its folder."""
        return {name: value for name, value in vars(self).items() if name != "results"}

    def resumed_with(self, given: dict[str, Any]) -> Self:
        """Return the options of a retraining that goes on, with what the command line changes.

        Raises `UserError` when an option that decides what is trained was given differently.
        """
        for name in TRAINED:
            if name in given and given[name] != getattr(self, name):
                flag = "--" + name.replace("_", "-")
                raise UserError(
                    f"{flag} {given[name]} differs from {getattr(self, name)} of the retraining to "
                    "resume; leave it out, or start a new one"
                )
        return dataclasses.replace(self, **given)


#: Options in which a resumed retraining must agree with its beginning.
TRAINED = (
    "search", "config", "top_k", "splits", "part", "epochs", "image_size",
    "initial_image_size", "weights",
)  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``retrain_best.py``; options not given are absent from its result."""
    parser = argparse.ArgumentParser(
        prog="python tune/retrain_best.py",
        description="Retrain the best configurations of a search and evaluate them.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--search", metavar="RUN", help="name or folder (default: the newest finished search)")
    add(
        "--config",
        nargs="+",
        metavar="FILE",
        help="instead: a JSON file of hyperparameters, or reference:SETTING; several are compared",
    )
    add(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with an interrupted retraining, or evaluate a finished one anew "
        "(default: the newest)",
    )
    _add_training_options(parser.add_argument_group("training"))
    _add_evaluation_options(parser.add_argument_group("evaluation"))
    add_resource_options(parser.add_argument_group("resources"))
    return parser


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--top-k", type=int, help="how many of the search's best (default: 1)")
    add(
        "--seeds",
        type=int,
        help="models per configuration and protocol (default: 3), also with --resume",
    )
    add("--splits", nargs="+", choices=PROTOCOLS, help="default: both")
    add("--epochs", type=int, help="default: the search's")
    add("--image-size", type=int, help="pixels (default: the search's)")
    add("--initial-image-size", type=int, help="pixels of the first epoch, grows (default: off)")
    add("--weights", help="backbone: imagenet, none, or the path of a file (default: the search's)")
    add("--data", nargs="+", help="as of run_search.py (default: the search's)")
    modes = ("online", "offline", "disabled")
    add("--wandb", choices=modes, help="default: online with an API key, else offline")


def _add_evaluation_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--part",
        choices=PARTS,
        help="test (default): train on the other 80 %%; validation: train on the training part "
        "alone, to see where a model is weak without a look at the test part",
    )
    add("--flip", action="store_true", help="average predictions with the mirrored face's")
    add(
        "--no-intervals",
        dest="intervals",
        action="store_false",
        help="do without the model that age intervals need, trained without the validation part",
    )
    add("--no-baselines", dest="baselines", action="store_false", help="only the networks")
    add("--explain", type=int, metavar="N", help="faces per LIME sheet (default: 8; 0: no LIME)")
