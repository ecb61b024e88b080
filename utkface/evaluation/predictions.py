"""Reading back what one model of a retraining predicted, from the run folder's tables."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.evaluation.records import read_evaluation
from utkface.io import UserError

PREDICTIONS_FILE = "predictions.parquet"


@dataclass(frozen=True)
class StoredPredictions:
    """The predictions of one configuration's S seeds for the N faces of a part."""

    folder: Path
    label: str
    protocol: str
    part: str
    faces: pd.DataFrame  # N rows sorted by file: file, group, age, gender, race
    age_years: NDArray[np.float64]  # (S, N)
    gender_probability: NDArray[np.float64]  # (S, N) of being female

    @property
    def predicted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ages and probabilities."""
        return self.age_years, self.gender_probability

    @property
    def num_seeds(self) -> int:
        """S."""
        return len(self.age_years)


def read_predictions(
    folder: str | Path, part: str, *, label: str | None = None, protocol: str | None = None
) -> StoredPredictions:
    """Read one configuration's predictions of a part from a folder of ``tune/retrain_best.py``.

    ``label`` is by default the headline's, ``protocol`` the only one there, or ``grouped``. Raises
    `UserError` where the folder has no such predictions, with what it has.
    """
    folder = Path(folder)
    table = _only(_read_table(folder), "part", part, folder)
    protocols = table["protocol"].unique()
    default = protocols[0] if len(protocols) == 1 else "grouped"
    table = _only(table, "protocol", protocol or default, folder)
    labels = table["label"].unique()
    label = label or (labels[0] if len(labels) == 1 else _headline(folder))
    if label is None:
        raise UserError(
            f"{folder} has several models and no headline among them; choose one with "
            f"--label, or two to compare with --labels: {', '.join(map(repr, labels))}"
        )
    table = _only(table, "label", label, folder)
    counts = pd.crosstab(table["seed"], table["file"])
    if (counts != 1).any(axis=None):
        raise UserError(
            f"{folder / PREDICTIONS_FILE} does not have each face once for every seed; evaluate "
            f"again with `python tune/retrain_best.py --resume {folder}`"
        )
    table = table.sort_values(["seed", "file"], ignore_index=True)
    first = table.iloc[0]
    return StoredPredictions(
        folder=folder,
        label=str(first["label"]),
        protocol=str(first["protocol"]),
        part=part,
        faces=table[["file", "group", "age", "gender", "race"]].head(counts.shape[1]),
        age_years=table["age_years"].to_numpy(np.float64).reshape(counts.shape),
        gender_probability=table["gender_probability"].to_numpy(np.float64).reshape(counts.shape),
    )


def find_model_file(predictions: StoredPredictions) -> Path:
    """Return the file of the first seed's model; raises `UserError` where none is on record."""
    path = predictions.folder / "evaluation.json"
    what = predictions.label, predictions.protocol, predictions.part
    for row in read_evaluation(path).rows:
        if (row.label, row.protocol, row.part) == what and row.model_files:
            return predictions.folder / row.model_files[0]
    raise UserError(
        f"{path} names no model of {predictions.label!r} on the {predictions.protocol} split; give "
        "the part that models were trained to be judged on, or, if the file is old, evaluate again "
        f"with `python tune/retrain_best.py --resume {predictions.folder}`"
    )


def parts_of(folder: str | Path) -> list[str]:
    """Return the parts (test, validation) that a folder has predictions of."""
    return sorted(_read_table(Path(folder))["part"].unique())


def _read_table(folder: Path) -> pd.DataFrame:
    path = folder / PREDICTIONS_FILE
    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise UserError(
            f"there is no {path}; give a finished folder of `python tune/retrain_best.py`"
        ) from error
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot read {path} ({reason}); evaluate again with "
            f"`python tune/retrain_best.py --resume {folder}`"
        ) from error


def _only(table: pd.DataFrame, column: str, value: str, folder: Path) -> pd.DataFrame:
    """Return the rows with this value, which must be there."""
    chosen = table[table[column] == value]
    if chosen.empty:
        there = ", ".join(map(repr, table[column].unique()))
        raise UserError(f"{folder} has no predictions with {column} {value!r}; it has {there}")
    return chosen


def _headline(folder: Path) -> str | None:
    """Return the label of the row that the evaluation names as its headline."""
    try:
        rows = read_evaluation(folder / "evaluation.json").rows
    except UserError:
        return None  # the person is asked instead
    return next((row.label for row in rows if row.headline), None)
