"""What a space does, as plain data: two versions of a file are compared by it, not by their text.

Gathered over the seeded random draws, so that conditional parameters are covered: a draw's value
of a parameter depends on nothing but the draw's number, the parameter's name and its range, which
is why adding one parameter leaves the draws of all others as they were.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

_MAX_CHANGES_SHOWN = 4


@dataclass(frozen=True)
class Draw:
    """One random trial of a space."""

    params: dict[str, Any]  # what was suggested, with the drawn values
    ranges: dict[str, str]  # from which range each was drawn, as text
    constants: dict[str, Any]  # what `suggest` returned


def build_signature(draws: list[Draw], points: list[dict[str, Any]]) -> dict[str, Any]:
    """Return ranges and conditions of the parameters, the constants and the points."""
    parameters: dict[str, dict[str, Any]] = {}
    for draw in draws:
        for name, text in draw.ranges.items():
            entry = parameters.setdefault(name, {"ranges": [], "num_draws": 0})
            entry["num_draws"] += 1
            if text not in entry["ranges"]:
                entry["ranges"].append(text)
    names = dict.fromkeys(name for draw in draws for name in draw.constants)
    constants = {name: _constant(name, draws) for name in names}
    return {"parameters": parameters, "constants": constants, "points": points}


def describe_change(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Say in one line how a space's signature differs from an earlier one; None where it does not.

    Both are what `Space.signature` returned, straight or read back from JSON.
    """
    changes = [
        *_parameter_changes(old["parameters"], new["parameters"]),
        *_value_changes("constant ", old["constants"], new["constants"]),
        *_point_changes(old["points"], new["points"]),
    ]
    if not changes:
        return None
    num_hidden = len(changes) - _MAX_CHANGES_SHOWN
    more = [f"and {num_hidden} more"] if num_hidden > 0 else []
    return "; ".join(changes[:_MAX_CHANGES_SHOWN] + more)


def _constant(name: str, draws: list[Draw]) -> Any:
    """Return a constant's value, or a digest of its values where they follow the parameters."""
    values = [draw.constants.get(name, "not set") for draw in draws]
    if all(value == values[0] for value in values):
        return values[0]
    digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()
    return f"computed ({digest[:8]})"


def _parameter_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            changes.append(f"{name} is no longer suggested")
        elif name not in old:
            changes.append(f"{name} is new: {_ranges(new[name])}")
        elif old[name]["ranges"] != new[name]["ranges"]:
            changes.append(f"{name}: {_ranges(old[name])} is now {_ranges(new[name])}")
        elif old[name]["num_draws"] != new[name]["num_draws"]:
            changes.append(
                f"{name} is suggested under another condition "
                f"(in {old[name]['num_draws']} draws, now in {new[name]['num_draws']})"
            )
    return changes


def _ranges(entry: dict[str, Any]) -> str:
    texts = entry["ranges"]
    return " or ".join(texts[:2]) + (" or ..." if len(texts) > 2 else "")


def _value_changes(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            changes.append(f"{prefix}{name}={old[name]!r} is gone")
        elif name not in old:
            changes.append(f"{prefix}{name}={new[name]!r} is new")
        elif old[name] != new[name]:
            changes.append(f"{prefix}{name}={old[name]!r} is now {new[name]!r}")
    return changes


def _point_changes(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    changes = [f"{len(old)} points are now {len(new)}"] if len(old) != len(new) else []
    for number, (before, after) in enumerate(zip(old, new, strict=False), start=1):
        changes += _value_changes(f"point {number}: ", before, after)
    return changes
