"""An account of the data for people: what was refused and why, and which labels contradict."""

from pathlib import Path

import pandas as pd

from utkface.atomic import replacing
from utkface.data.duplicates import conflicting_labels
from utkface.data.faces import Faces


def write_account(faces: Faces, folder: Path) -> str:
    """Write rejected.csv and conflicts.csv into a folder; returns one line of counts to show.

    rejected.csv: file, reason. conflicts.csv: group, file, age, gender, race of all copies of a
    photograph whose labels disagree. Raises `UserError` when the folder cannot be written.
    """
    _write_csv(faces.rejected, folder / "rejected.csv")
    _write_csv(conflicting_labels(faces.table), folder / "conflicts.csv")
    return summary(faces)


def summary(faces: Faces) -> str:
    """Return one line of counts: faces, copies, contradictions, files refused."""
    groups = faces.table.groupby("group").size()
    num_copies = int((groups[groups > 1] - 1).sum())
    num_conflicts = conflicting_labels(faces.table)["group"].nunique()
    demo = "DEMO faces, drawn: " if faces.is_demo else ""
    return (
        f"{demo}{len(faces.table):,} faces, {num_copies:,} of them copies of another; labels "
        f"disagree in {num_conflicts:,} groups of copies; {len(faces.rejected):,} files refused"
    )


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
