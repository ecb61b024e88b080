"""How often each face is drawn, and which draws get the intensive augmentation.

Faces are drawn in rounds. A round draws every face once with the basic augmentation, and the faces
of rare groups again with the intensive one: a group of n faces gets ``(largest - n) * balance +
largest * extra`` more draws, as in the reference, whose groups are the nine decades of age, with
0.3 and 0.1. Or the faces of groups where a model is weak are drawn ``weight ** power`` times
(`GroupWeight`). An epoch is the next as many draws of the rounds as there are faces,
whatever is oversampled: it is the same amount of training in every configuration. Pure NumPy:
labels in, row numbers out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from utkface.config import TrainConfig
from utkface.data.labels import DECADE_BINS, GENDERS, RACES, age_bin, bin_labels

_RACES = tuple(race.lower() for race in RACES)
#: Tells the rounds' random numbers from those of `utkface.training.epoch_seeds`.
_STREAM = 1


@dataclass(frozen=True)
class GroupWeight:
    """How much more often to draw the faces of one group; None stands for any gender or race.

    Written ``80+ female=1.62``: ages (whole years, both ends included, or ``all``), perhaps a
    gender and a race, and how many times as often as other faces a face of the group is drawn.
    `utkface.evaluation.weak_groups` writes such weights, `TrainConfig.group_weights` holds them.
    """

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
        first, _, last = ("0+" if ages == "all" else ages).rstrip("+").partition("-")
        gender = next((GENDERS.index(word) for word in words if word in GENDERS), None)
        race = next((_RACES.index(word) for word in words if word in _RACES), None)
        last_age = int(last) if last else math.inf
        return cls(int(first), last_age, gender, race, float(weight))

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
    """Read a `TrainConfig.group_weights`."""
    return [GroupWeight.parse(part) for part in text.split(", ") if part]


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


class Sampling:
    """What is drawn from faces with these labels, each (n,): an endless row of rounds."""

    def __init__(
        self, age: np.ndarray, gender: np.ndarray, race: np.ndarray, config: TrainConfig
    ) -> None:
        assert len(age) == len(gender) == len(race) > 0, "every face has three labels"
        self.config = config
        self.num_faces = len(age)
        self._group_of_face, self._group_sizes, wanted = _groups(age, gender, race, config)
        self._num_extra = _whole_draws(wanted, self._group_sizes, config)  # of each group
        self.round_length = self.num_faces + int(self._num_extra.sum())

    def epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an epoch's draws, shuffled: positions of faces, and which draws are intensive.

        Epochs are counted from 0. Returns int64 (n,) and bool (n,), a function of the seed and the
        epoch alone: the next n draws of the rounds.
        """
        first, last = epoch * self.num_faces, (epoch + 1) * self.num_faces
        numbers = range(first // self.round_length, (last - 1) // self.round_length + 1)
        rounds = [self.round(number) for number in numbers]
        positions, intensive = (np.concatenate(parts) for parts in zip(*rounds, strict=True))
        skipped = first - numbers[0] * self.round_length
        part = slice(skipped, skipped + self.num_faces)
        return positions[part], intensive[part]

    def round(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a round's draws, `round_length` of them, as `epoch` does those of an epoch.

        The extra draws of a group go evenly round its faces: no face is drawn again before each of
        the group was, and which faces get one more than others is random.
        """
        rng = np.random.default_rng([self.config.seed, number, _STREAM])
        extra = []
        for group, num_extra in enumerate(self._num_extra):
            members = np.flatnonzero(self._group_of_face == group)
            times_each, rest = divmod(num_extra, len(members))
            extra += [np.tile(members, times_each), rng.permutation(members)[:rest]]
        positions = np.concatenate([np.arange(self.num_faces), *extra])
        order = rng.permutation(len(positions))
        return positions[order], order >= self.num_faces

    def expected_draws(self) -> np.ndarray:
        """Return the mean number of draws of each face in an epoch, float (n,), which sum to n."""
        in_a_round = 1 + (self._num_extra / self._group_sizes)[self._group_of_face]
        return in_a_round * self.num_faces / self.round_length


def age_distribution(
    age: np.ndarray, gender: np.ndarray, race: np.ndarray, config: TrainConfig
) -> pd.DataFrame:
    """Tabulate by decade what oversampling makes of the ages.

    Columns: bin, faces, draws (mean number in an epoch), share_before, share_after. Decades without
    a face are there with zeros.
    """
    labels = bin_labels(DECADE_BINS)
    decades = age_bin(age, DECADE_BINS)
    faces = np.bincount(decades, minlength=len(labels))
    expected = Sampling(age, gender, race, config).expected_draws()
    draws = np.bincount(decades, weights=expected, minlength=len(labels))
    table = pd.DataFrame({"bin": labels, "faces": faces, "draws": draws})
    return table.assign(share_before=faces / faces.sum(), share_after=draws / draws.sum())


def _groups(
    age: np.ndarray, gender: np.ndarray, race: np.ndarray, config: TrainConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the faces into the groups that ``oversample_by`` names.

    Returns each face's group (n,), each group's number of faces, and the extra draws it should get.
    """
    if config.oversample_by == "weights":
        of_face = face_weights(parse_weights(config.group_weights), age, gender, race)
        weights, group, sizes = np.unique(of_face, return_inverse=True, return_counts=True)
        return group, sizes, (weights**config.group_weights_power - 1) * sizes
    decade = age_bin(age, DECADE_BINS)
    key = {
        "none": np.zeros_like(decade),
        "age": decade,
        "age_gender": decade * len(GENDERS) + gender,
        "age_race": decade * len(RACES) + race,
    }[config.oversample_by]
    _, group, sizes = np.unique(key, return_inverse=True, return_counts=True)
    if config.oversample_by == "none":
        return group, sizes, np.zeros(len(sizes))
    balance, extra = config.oversample_balance, config.oversample_extra
    return group, sizes, (sizes.max() - sizes) * balance + sizes.max() * extra


def _whole_draws(wanted: np.ndarray, num_faces: np.ndarray, config: TrainConfig) -> np.ndarray:
    """Return each group's extra draws: whole numbers that add up to the rounded total."""
    # No face more often than allowed, its basic draw included: a whole number, like the draws.
    shares = np.minimum(wanted, num_faces * (math.floor(config.oversample_max_repeats) - 1))
    shares = shares.round(6)  # 0.1 + 0.2 must not cost a draw
    # Largest remainders: round down, then give what is missing to those who lost most.
    whole = np.floor(shares).astype(np.int64)
    missing = math.floor(shares.sum() - whole.sum() + 0.5)
    most_lost = np.argsort(whole - shares, kind="stable")[:missing]
    whole[most_lost] += 1
    return whole
