"""The faces that a model gets most wrong."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class HardestFaces(NamedTuple):
    """Positions of faces, the worst first."""

    ages: NDArray[np.int64]  # largest age errors
    genders: NDArray[np.int64]  # wrong, and surest of it; fewer than asked for if few are wrong


def hardest_faces(
    faces: pd.DataFrame, age_years: np.ndarray, gender_probability: np.ndarray, num: int
) -> HardestFaces:
    """Return the faces with the largest age errors and the most confident wrong genders.

    faces: columns age, gender and group; predictions: (S, N) of S seeds, judged by their mean. Of
    copies of one photograph only the worst is given: others would tell nothing new.
    """
    age_error = np.abs(age_years.mean(axis=0) - faces["age"].to_numpy())
    probability = gender_probability.mean(axis=0)
    is_wrong = (probability > 0.5) != (faces["gender"].to_numpy() == 1)
    sureness = np.where(is_wrong, np.abs(probability - 0.5), -1.0)
    group = faces["group"].to_numpy()
    return HardestFaces(
        ages=_worst(age_error, group, num),
        genders=_worst(sureness, group, num),
    )


def _worst(badness: np.ndarray, group: np.ndarray, num: int) -> NDArray[np.int64]:
    """Return the positions of the largest non-negative values, one of each group."""
    order = np.argsort(-badness, kind="stable")
    order = order[badness[order] >= 0]
    _, first = np.unique(group[order], return_index=True)
    return order[np.sort(first)][:num]
