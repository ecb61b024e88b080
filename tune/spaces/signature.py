"""What a space can suggest, and in words how two versions of it differ."""

from dataclasses import dataclass, field

from tune.spaces.objectives import Settings

_MAX_CHANGES_SHOWN = 4


@dataclass
class Range:
    """A hyperparameter's ranges, one for each branch that differs, and how many draws had it."""

    ranges: list[str]
    num_draws: int

    def __str__(self) -> str:
        return " or ".join(self.ranges[:2]) + (" or ..." if len(self.ranges) > 2 else "")


@dataclass
class Signature:
    """What a space can suggest; equal for two versions of a file that behave the same."""

    parameters: dict[str, Range] = field(default_factory=dict)
    constants: Settings = field(default_factory=dict)
    points: list[Settings] = field(default_factory=list)


def describe_change(old: Signature, new: Signature) -> str | None:
    """Say in one line how a space differs from an earlier version; None where it does not."""
    changes = [
        *_parameter_changes(old.parameters, new.parameters),
        *_value_changes("constant ", old.constants, new.constants),
    ]
    if len(old.points) != len(new.points):
        changes.append(f"{len(old.points)} points are now {len(new.points)}")
    for number, both in enumerate(zip(old.points, new.points, strict=False), start=1):
        changes += _value_changes(f"point {number}: ", *both)
    if not changes:
        return None
    num_hidden = len(changes) - _MAX_CHANGES_SHOWN
    more = [f"and {num_hidden} more"] if num_hidden > 0 else []
    return "; ".join(changes[:_MAX_CHANGES_SHOWN] + more)


def _parameter_changes(old: dict[str, Range], new: dict[str, Range]) -> list[str]:
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            changes.append(f"{name} is no longer suggested")
        elif name not in old:
            changes.append(f"{name} is new: {new[name]}")
        elif old[name].ranges != new[name].ranges:
            changes.append(f"{name}: {old[name]} is now {new[name]}")
        elif old[name].num_draws != new[name].num_draws:
            changes.append(
                f"{name} is suggested under another condition "
                f"(in {old[name].num_draws} draws, now in {new[name].num_draws})"
            )
    return changes


def _value_changes(prefix: str, old: Settings, new: Settings) -> list[str]:
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            changes.append(f"{prefix}{name}={old[name]!r} is gone")
        elif name not in old:
            changes.append(f"{prefix}{name}={new[name]!r} is new")
        elif old[name] != new[name]:
            changes.append(f"{prefix}{name}={old[name]!r} is now {new[name]!r}")
    return changes
