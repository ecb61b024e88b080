"""How an option is declared, and what follows from that: the command line, its help, its checks.

An option is a field of a frozen dataclass. Its annotation and default are those of the command
line, where argparse (https://docs.python.org/3/library/argparse.html) reads it.
"""

import argparse
import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args, get_origin

from utkface.io import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
PROTOCOLS = ("grouped", "random")
WANDB_MODES = ("online", "offline", "disabled")
WANDB_HELP = "default: online with an API key, else offline"
_DECLARED = "declared"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What an option's field says beyond its type and default."""

    section: str | None  # that begins with this option
    help: str
    same: bool  # in every session of a run, or its trials could not be compared
    at_least: float
    above: float
    at_most: float
    argument: dict[str, Any]  # of `argparse.ArgumentParser.add_argument`

    @property
    def allowed(self) -> str:
        """The range in words."""
        low = f"above {self.above:g}" if self.above > -math.inf else f"{self.at_least:g} or more"
        return low if self.at_most == math.inf else f"{low}, up to {self.at_most:g}"

    def holds(self, value: float) -> bool:
        """Whether a number lies in the range; infinity and NaN lie in none."""
        is_above = value >= self.at_least and value > self.above
        return math.isfinite(value) and is_above and value <= self.at_most


def option(
    help: str,
    default: Any = None,
    *,
    section: str | None = None,
    same: bool = False,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    **argument: Any,
) -> Any:
    """Declare an option; its help ends with its default unless it names that itself.

    ``default``: None leaves it to the space, the search or the machine. ``section``: of the help,
    which begins with this option. ``same``: a run that goes on keeps it. ``argument`` as for
    argparse, where the field's type does not say it.
    """
    declared = Declared(
        section=section, help=help, same=same, at_least=at_least, above=above, at_most=at_most,
        argument=argument,
    )  # fmt: skip
    metadata = {_DECLARED: declared}
    if isinstance(default, list):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _auto_or_number(value: str) -> float | None:
    return None if value == "auto" else float(value)


_auto_or_number.__name__ = "auto_or_number"  # argparse tells a wrong value by it


def _address(address: str) -> str | None:
    return None if address == "local" else address


def _place(place: str) -> str:
    """Return a URI as it is, and a path in full: nodes know nothing of the folder we are in."""
    return place if "://" in place else str(Path(place).expanduser().absolute())


@dataclass(frozen=True, kw_only=True)
class Options:
    """What both commands have in common: where trials run and where their files are kept.

    None means that the machine decides (`tune.cluster`).
    """

    cpus_per_trial: float | None = option(
        "default: 1, on a GPU its share of the cores", above=0, section="resources"
    )
    gpus_per_trial: float | None = option(
        "may be a fraction (default: auto, by the card's memory and one measured trial)",
        at_least=0,
        type=_auto_or_number,
        metavar="auto|N",
    )
    concurrency: int | None = option("trials at a time (default: as many as fit)", at_least=1)
    address: str | None = option(
        "a Ray cluster: host:port, auto or ray://…; local: this machine (default)", type=_address
    )
    storage: str | None = option(
        "folder or URI for checkpoints that all nodes reach (default: the run's)", type=_place
    )
    results: Path = option(  # noqa: RUF009  # frozen, as a path is
        "folder for run folders (default: results/)", REPOSITORY / "results"
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises `UserError` that names the option and what it allows."""
        for name, declared in declared_by(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, int | float) and not declared.holds(value):
                raise UserError(
                    f"{flag_of(name)} {value} is not possible; allowed: {declared.allowed}"
                )

    def resumed_with(self, given: argparse.Namespace, results: Path, what: str, new: str) -> Self:
        """Return the options of a run that goes on, with what the command line changes.

        ``results`` is the folder that the run lies in; ``what`` and ``new`` say in words which run
        goes on, and what else could be started. Raises `UserError` when an option that decides what
        is trained was given differently, or is of another version.
        """
        changes = {**vars(given), "results": results}
        for name, declared in declared_by(type(self)).items():
            recorded, choices = getattr(self, name), declared.argument.get("choices")
            if choices and isinstance(recorded, str) and recorded not in choices:
                raise UserError(
                    f"{what} has {flag_of(name)} {recorded}, which this version has not: only "
                    f"{', '.join(choices)}; start {new}"
                )
            if declared.same and changes.get(name, recorded) != recorded:
                raise UserError(
                    f"{flag_of(name)} {changes[name]} differs from {recorded} of {what} to resume; "
                    f"leave it out, or start {new}"
                )
        return dataclasses.replace(self, **changes)


def check_paths(data: Iterable[str] | None, weights: str | None) -> None:
    """Raise `UserError` for faces or weights that are not there.

    Loading them would say so too, but after seconds of imports.
    """
    for name in data or ():
        if name not in ("demo", "kaggle") and not Path(name).expanduser().exists():
            raise UserError(
                f"no such data: {name}; give the folder or archives of UTKFace with --data, or "
                "try it with --data demo"
            )
    if weights not in (None, "imagenet", "none") and not Path(weights).is_file():
        raise UserError(
            f"there is no weights file {weights}; give the state dict of a torchvision backbone's "
            "features, imagenet, or none"
        )


def declared_by(kind: type[Options]) -> dict[str, Declared]:
    """Return what the options of a command declare, by name."""
    return {field.name: field.metadata[_DECLARED] for field in dataclasses.fields(kind)}


def flag_of(name: str) -> str:
    """Return an option's name as it is typed."""
    return "--" + name.replace("_", "-")


def add_options(
    parser: argparse.ArgumentParser, kind: type[Options], sections: Iterable[str]
) -> None:
    """Add a command's options to its parser, one group for each section; "" is no group."""
    fields_of: dict[str, list[dataclasses.Field]] = {}
    section = ""
    for field in dataclasses.fields(kind):
        begun = field.metadata[_DECLARED].section
        section = section if begun is None else begun
        fields_of.setdefault(section, []).append(field)
    for section in sections:
        group = parser.add_argument_group(section) if section else parser
        for field in fields_of[section]:
            declared = field.metadata[_DECLARED]
            argument = {**_argument_of(field.type), **declared.argument}
            group.add_argument(flag_of(field.name), help=_help(field, declared), **argument)


def _argument_of(kind: Any) -> dict[str, Any]:
    """Return what argparse is to know of an option by its field's annotation."""
    if isinstance(kind, UnionType):  # with None, which is not typed on a command line
        kind = get_args(kind)[0]
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(kind) is list:
        return {"nargs": "+", "type": get_args(kind)[0]}
    return {"type": kind}


def _help(field: dataclasses.Field, declared: Declared) -> str:
    """Return the help, with the default where the text does not name it."""
    if "default" in declared.help or field.default in (None, dataclasses.MISSING):
        return declared.help
    default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    return f"{declared.help} (default: {default})" if declared.help else f"default: {default}"
