"""``out_of_fold.parquet``: what models say of training faces that they were not trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from utkface.io import UserError, replacing
from utkface.model import NUM_AGES

OUT_OF_FOLD = "out_of_fold.parquet"
_DISTRIBUTION = "age_distribution"


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """One row per training face and protocol, the mean of ``num_models`` models that left it out.

    table: file, group, age, gender, protocol, part, split_hash (of that split), fold (the models
    were trained on all other folds of the protocol), num_models, age_years (the mean of the
    distribution), gender_probability (of being female).
    """

    table: pd.DataFrame  # N rows
    age_distribution: np.ndarray  # (N, NUM_AGES) float32

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        content = self.table.assign(**{_DISTRIBUTION: [*self.age_distribution]})
        with replacing(path) as temporary:
            content.to_parquet(temporary, index=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; raises `UserError` for one that is damaged."""
        try:
            table = pd.read_parquet(path)
            distribution = np.stack([*table.pop(_DISTRIBUTION)])
            _check(table, distribution)
        except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"cannot read {path} ({reason}); make it again with "
                f"`python tune/retrain_best.py --resume {path.parent}`"
            ) from error
        return cls(table, distribution)


def _check(table: pd.DataFrame, distribution: np.ndarray) -> None:
    """Raise `ValueError` for predictions that are none, `KeyError` where there are none."""
    probability = table["gender_probability"].to_numpy()
    if distribution.shape[1:] != (NUM_AGES,):
        raise ValueError(f"there are {distribution.shape[1]} ages, not {NUM_AGES}")
    is_distribution = (distribution >= 0).all() and np.allclose(
        distribution.sum(axis=1), 1, atol=0.01
    )
    if not is_distribution or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("some predictions are no probabilities")
    if table.duplicated(["protocol", "file"]).any():
        raise ValueError("a face is there twice")
