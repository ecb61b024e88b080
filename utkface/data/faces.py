"""`load_faces`: from what the user names to a table of faces and their pixels."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from utkface.data.duplicates import conflicting_labels
from utkface.data.labels import Labels, NameRejected, parse_name
from utkface.data.pack import FaceFile, hash_files, load_packed
from utkface.data.sources import (
    HOW_TO_GET_FACES,
    ImageFile,
    SourceName,
    cache_folder,
    list_images,
    open_source,
)
from utkface.io import UserError, replacing

MAX_IMAGE_SIZE = 1024  # pixels; UTKFace has 200


@dataclass(frozen=True)
class Faces:
    """All faces of a source: their labels, what was refused, and their pixels.

    table: one row per face, sorted by file: file (name without folders), age (years), gender
    (0 male, 1 female), race (0-4), sha256, group (equal for copies of one photograph).
    rejected: file, reason (kind: details). images: (N, S, S, 3) uint8 RGB, a read-only
    memory map of the file at ``path``, row i being row i of the table. fingerprint: hex sha256
    of all faces' names and contents, the same wherever and in whatever form they are kept.
    """

    table: pd.DataFrame
    rejected: pd.DataFrame
    images: np.ndarray
    path: Path
    fingerprint: str
    source: str
    is_demo: bool


def load_faces(source: SourceName, image_size: int) -> Faces:
    """Read, check and decode the faces of a source, or open the cache of an earlier call.

    source: a folder, one or several archives, "kaggle" or "demo"; image_size: pixels. Raises
    `UserError` when there are no faces there or the cache cannot be written.
    """
    if not 1 <= image_size <= MAX_IMAGE_SIZE:
        raise UserError(f"image_size={image_size} is out of range; allowed: 1 to {MAX_IMAGE_SIZE}")
    opened = open_source(source)
    labels, files, bad_names = _read_names(list_images(opened.roots), opened.label)
    digests = hash_files([file.path for file in files])
    kept, same_names = _one_per_name(files, digests)
    packed = load_packed(kept, image_size, cache_folder() / "packed")
    rows = packed.rows
    refused = rows.loc[rows.reason != "", ["file", "reason"]].itertuples(index=False, name=None)
    # A name is bytes, and those of another alphabet's disk may be no text.
    rejected = [tuple(map(_as_text, row)) for row in (*bad_names, *same_names, *refused)]
    used = rows[rows.reason == ""].reset_index(drop=True).astype({"group": np.int64})
    if used.empty:
        raise UserError(
            f"no faces in {opened.label}: none of its {len(kept)} images can be used, the first "
            f"because: {rows.reason[0]}"
        )
    table = pd.DataFrame([labels[file] for file in used.file])
    table = pd.concat([used.file, table, used[["sha256", "group"]]], axis=1)
    return Faces(
        table=table,
        rejected=pd.DataFrame(sorted(rejected), columns=["file", "reason"]),
        images=packed.images,
        path=packed.path,
        fingerprint=_fingerprint(table),
        source=opened.label,
        is_demo=opened.is_demo,
    )


def write_data_tables(faces: Faces, folder: Path) -> str:
    """Write rejected.csv and conflicts.csv into a folder; returns one line of counts to show.

    rejected.csv: file, reason. conflicts.csv: group, file, age, gender, race of all copies of a
    photograph whose labels disagree. Raises `UserError` when the folder cannot be written.
    """
    tables = {"rejected.csv": faces.rejected, "conflicts.csv": conflicting_labels(faces.table)}
    for name, table in tables.items():
        with replacing(folder / name) as temporary:
            table.to_csv(temporary, index=False)
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


def group_rejected(rejected: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Return name and full reason of the rejected files, by the kind of their reason."""
    kinds = rejected["reason"].str.split(":").str[0]
    return {
        str(kind): list(files.itertuples(index=False, name=None))
        for kind, files in rejected.groupby(kinds)
    }


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def _read_names(
    files: Sequence[ImageFile], source: str
) -> tuple[dict[str, Labels], list[ImageFile], list[tuple[str, str]]]:
    """Return labels by file name, the files that have them, and (file, reason) of the others."""
    labels: dict[str, Labels] = {}
    rejected: list[tuple[str, str]] = []
    for file in files:
        try:
            labels[file.path.name] = parse_name(file.path.name)
        except NameRejected as rejection:
            rejected.append((file.path.name, str(rejection)))
    if not labels:
        first = f", the first: {rejected[0][0]!r}" if rejected else ""
        raise UserError(
            f"no faces in {source}: of {len(files)} image files none is named "
            f"age_gender_race_date.jpg.chip.jpg{first}; {HOW_TO_GET_FACES}"
        )
    return labels, [file for file in files if file.path.name in labels], rejected


def _one_per_name(
    files: Sequence[ImageFile], digests: Sequence[str]
) -> tuple[list[FaceFile], list[tuple[str, str]]]:
    """Keep the first file of each name, and say of the others what they are.

    Kaggle's edition holds the same faces in several folders. Files come sorted, so the one kept is
    the one least deep, whatever the file system.
    """
    kept: dict[str, tuple[ImageFile, str]] = {}
    rejected: list[tuple[str, str]] = []
    for file, sha256 in zip(files, digests, strict=True):
        name = file.path.name
        first, first_sha256 = kept.setdefault(name, (file, sha256))
        if file is first:
            continue
        if sha256 == first_sha256:
            reason = f"copy of the same name: {file.inside} equals {first.inside}"
        else:
            reason = f"name taken: {file.inside} differs from {first.inside}"
        rejected.append((name, reason))
    return [FaceFile(file.path, sha256) for file, sha256 in kept.values()], rejected


def _fingerprint(table: pd.DataFrame) -> str:
    lines = (f"{sha256} {file}" for file, sha256 in zip(table.file, table.sha256, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
