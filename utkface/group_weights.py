"""Groups of faces that training draws more often, as one line of text that a configuration holds.

``80+ female=1.62, 0-3=1.5, all black=1.2`` names ages (whole years, both ends included, or
``all``), perhaps a gender and a race, and how many times as often as other faces a face of the
group is drawn. `utkface.evaluation.weak_groups` writes such lines, `utkface.sampling` obeys them.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from utkface.data.names import GENDERS, RACES
from utkface.errors import UserError

_RACES = tuple(race.lower() for race in RACES)


@dataclass(frozen=True)
class GroupWeight:
    """How much more often to draw the faces of one group; None stands for any gender or race."""

    first_age: int
    last_age: float  # inclusive; infinite for the oldest
    gender: int | None
    race: int | None
    weight: float  # 1: as often as other faces

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``group=weight``, whose form `TrainConfig` has checked."""
        name, weight = text.split("=")
        ages, *words = name.split(" ")
        first, last = _parse_ages(ages, text)
        gender = next((GENDERS.index(word) for word in words if word in GENDERS), None)
        race = next((_RACES.index(word) for word in words if word in _RACES), None)
        return cls(first, last, gender, race, float(weight))

    def __str__(self) -> str:
        return f"{self.name}={self.weight:.3f}".rstrip("0").rstrip(".")

    @property
    def name(self) -> str:
        """The group without its weight: ``80+ female``."""
        ages = f"{self.first_age}-{self.last_age:.0f}"
        if math.isinf(self.last_age):
            ages = f"{self.first_age}+" if self.first_age else "all"
        gender = [] if self.gender is None else [GENDERS[self.gender]]
        race = [] if self.race is None else [_RACES[self.race]]
        return " ".join([ages, *gender, *race])

    def contains(self, age: np.ndarray, gender: np.ndarray, race: np.ndarray) -> np.ndarray:
        """Return bool (N,): which of the faces with these labels, each (N,), are in the group."""
        inside = (age >= self.first_age) & (age <= self.last_age)
        if self.gender is not None:
            inside &= gender == self.gender
        if self.race is not None:
            inside &= race == self.race
        return inside


def parse_weights(text: str) -> list[GroupWeight]:
    """Read a `TrainConfig.group_weights`; raises `UserError` for ages that run backwards."""
    return [GroupWeight.parse(part) for part in text.split(", ") if part]


def format_weights(weights: Sequence[GroupWeight]) -> str:
    """Return the line that `parse_weights` reads."""
    return ", ".join(map(str, weights))


def face_weights(
    weights: Sequence[GroupWeight], age: np.ndarray, gender: np.ndarray, race: np.ndarray
) -> np.ndarray:
    """Return each face's weight, float (N,), from labels (N,).

    The largest weight of the groups that a face is in, as groups may overlap (the oldest, and the
    oldest women) and their product would count one weakness twice; 1 for a face in none.
    """
    of_face = np.ones(len(age))
    for group in weights:
        inside = group.contains(age, gender, race)
        of_face[inside] = np.maximum(of_face[inside], group.weight)
    return of_face


def _parse_ages(ages: str, text: str) -> tuple[int, float]:
    """Return the first and the last whole year of ``0-3``, ``80+`` or ``all``."""
    if ages == "all":
        return 0, math.inf
    if ages.endswith("+"):
        return int(ages[:-1]), math.inf
    first, last = map(int, re.findall(r"\d+", ages))
    if first > last:
        raise UserError(
            f"group_weights has ages that run backwards in {text!r}; write {last}-{first}"
        )
    return first, last
