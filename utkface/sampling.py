"""How often each face is drawn, and which draws get the intensive augmentation.

Faces are drawn in rounds. A round draws every face once with the basic augmentation, and the faces
of rare groups again with the intensive one: a group of n faces gets ``(largest - n) * balance +
largest * extra`` more draws, as in the reference, whose groups are the nine decades of age, with
0.3 and 0.1. Or the faces of groups where a model is weak are drawn ``weight ** power`` times
(`utkface.group_weights`). An epoch is the next as many draws of the rounds as there are faces,
whatever is oversampled: it is the same amount of training in every configuration. Pure NumPy:
labels in, row numbers out.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from utkface.config import TrainConfig
from utkface.data.bins import DECADE_BINS, age_bin, bin_labels
from utkface.group_weights import face_weights, parse_weights

#: Tells the rounds' random numbers from those of `utkface.randomness.epoch_rng`.
_STREAM = 1


@dataclass(frozen=True)
class _Groups:
    """The faces of n rows by group, and how many more draws each group gets."""

    of_face: np.ndarray  # (n,) group numbers from 0
    num_faces: np.ndarray  # (groups,)
    num_extra: np.ndarray  # (groups,) in a round

    @property
    def round_length(self) -> int:
        """The number of draws in a round."""
        return len(self.of_face) + int(self.num_extra.sum())


def epoch_draws(
    age: np.ndarray,
    gender: np.ndarray,
    race: np.ndarray,
    config: TrainConfig,
    epoch: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return an epoch's draws, shuffled: positions in the arrays, and which are intensive.

    age, gender, race: (n,); epochs are counted from 0. Returns int64 (n,) and bool (n,), a function
    of the seed and the epoch alone: the next n draws of an endless row of rounds.
    """
    num_faces, num_draws = len(age), _group(age, gender, race, config).round_length
    first, last = epoch * num_faces, (epoch + 1) * num_faces
    numbers = range(first // num_draws, (last - 1) // num_draws + 1)
    rounds = [round_draws(age, gender, race, config, number) for number in numbers]
    positions, intensive = (np.concatenate(parts) for parts in zip(*rounds, strict=True))
    part = slice(first - numbers[0] * num_draws, last - numbers[0] * num_draws)
    return positions[part], intensive[part]


def round_draws(
    age: np.ndarray,
    gender: np.ndarray,
    race: np.ndarray,
    config: TrainConfig,
    number: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a round's draws, D of them, shuffled, as `epoch_draws` does those of an epoch.

    The extra draws of a group go evenly round its faces: no face is drawn again before each of the
    group was, and which faces get one more than others is random. D is the same in every round.
    """
    groups = _group(age, gender, race, config)
    rng = np.random.default_rng([config.seed, number, _STREAM])
    extra = [
        _spread(np.flatnonzero(groups.of_face == group), num_extra, rng)
        for group, num_extra in enumerate(groups.num_extra)
    ]
    positions = np.concatenate([np.arange(len(age)), *extra])
    order = rng.permutation(len(positions))
    return positions[order], order >= len(age)


def expected_draws(
    age: np.ndarray, gender: np.ndarray, race: np.ndarray, config: TrainConfig
) -> np.ndarray:
    """Return the mean number of draws of each face in an epoch, as float (n,), which sum to n."""
    groups = _group(age, gender, race, config)
    in_a_round = 1 + (groups.num_extra / groups.num_faces)[groups.of_face]
    return in_a_round * len(age) / groups.round_length


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
    draws = np.bincount(
        decades, weights=expected_draws(age, gender, race, config), minlength=len(labels)
    )
    return pd.DataFrame(
        {
            "bin": labels,
            "faces": faces,
            "draws": draws,
            "share_before": faces / faces.sum(),
            "share_after": draws / draws.sum(),
        }
    )


def _group(age: np.ndarray, gender: np.ndarray, race: np.ndarray, config: TrainConfig) -> _Groups:
    """Cut the faces into the groups that ``oversample_by`` names and count their extra draws."""
    assert len(age) == len(gender) == len(race) > 0, "every face has three labels"
    if config.oversample_by == "weights":
        weights = face_weights(parse_weights(config.group_weights), age, gender, race)
        weights, of_face, num_faces = np.unique(weights, return_inverse=True, return_counts=True)
        wanted = (weights**config.group_weights_power - 1) * num_faces
        return _Groups(of_face, num_faces, _whole_draws(wanted, num_faces, config))
    keys = {
        "none": [np.zeros(len(age), np.int64)],
        "age": [age_bin(age, DECADE_BINS)],
        "age_gender": [age_bin(age, DECADE_BINS), gender],
        "age_race": [age_bin(age, DECADE_BINS), race],
    }[config.oversample_by]
    _, of_face, num_faces = np.unique(
        np.stack(keys, 1), axis=0, return_inverse=True, return_counts=True
    )
    wanted = np.zeros(len(num_faces))
    if config.oversample_by != "none":
        largest = num_faces.max()
        balance, extra = config.oversample_balance, config.oversample_extra
        wanted = (largest - num_faces) * balance + largest * extra
    return _Groups(of_face.reshape(-1), num_faces, _whole_draws(wanted, num_faces, config))


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


def _spread(members: np.ndarray, num_extra: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``num_extra`` of the members, each as often as the others or once more."""
    rounds, rest = divmod(num_extra, len(members))
    return np.concatenate([np.tile(members, rounds), rng.permutation(members)[:rest]])
