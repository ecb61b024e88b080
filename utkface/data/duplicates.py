"""Copies of one photograph: which faces must stay on the same side of a split."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIZE = 32
MAX_DISTANCE = 6  # bits of 64
MIN_CORRELATION = 0.98
_BLOCK = 512  # rows compared at a time: 512 × 23,705 distances are 12 MB


def perceptual_hash(image: Image.Image) -> int:
    """Return the 64-bit pHash of a face, to be kept as uint64 (the first bit is the highest)."""
    import imagehash

    return int(str(imagehash.phash(image)), 16)


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Return a face as a small grey picture, (32, 32) uint8: what copies are compared by."""
    grey = image.convert("L")
    return np.asarray(grey.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX))


def near_pairs(phashes: NDArray[np.uint64], max_distance: int = MAX_DISTANCE) -> NDArray[np.int64]:
    """Return all pairs of rows whose hashes differ in at most ``max_distance`` bits.

    phashes: (N,) uint64. Returns (P, 2) row numbers, the smaller first, in order.
    """
    phashes = np.ascontiguousarray(phashes, dtype=np.uint64)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(phashes), _BLOCK):
        block, later = phashes[start : start + _BLOCK], phashes[start:]
        distance = np.bitwise_count(block[:, None] ^ later)
        first, second = np.nonzero(distance <= max_distance)
        ahead = second > first
        found.append(np.column_stack([first[ahead], second[ahead]]) + start)
    return np.concatenate(found)


def correlations(thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Pearson's correlation of the grey values of each pair; 0 where a picture is flat.

    thumbnails: (N, H, W) uint8; pairs: (P, 2) row numbers. Returns (P,).
    """
    result = np.empty(len(pairs))
    for start in range(0, len(pairs), 4096):  # a few MB at a time, however many pairs
        part = pairs[start : start + 4096]
        values = thumbnails[part].reshape(len(part), 2, -1).astype(np.float32)
        values -= values.mean(axis=2, keepdims=True)
        norm = np.linalg.norm(values, axis=2).prod(axis=1)
        dot = (values[:, 0] * values[:, 1]).sum(axis=1)
        result[start : start + len(part)] = np.where(norm > 0, dot / np.maximum(norm, 1e-9), 0.0)
    return result


def _connect(num_faces: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the smallest row number that each row is connected to, (N,) int64."""
    root = np.arange(num_faces)

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for first, second in pairs:
        low, high = sorted((find(first), find(second)))
        root[high] = low
    return np.array([find(row) for row in range(num_faces)], dtype=np.int64)


def group_copies(
    sha256: Sequence[str],
    phashes: NDArray[np.uint64],
    thumbnails: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """Give every face a group: faces of one group are copies of the same photograph.

    sha256: N hex digests of the files; phashes: (N,) uint64 of `perceptual_hash`; thumbnails:
    (N, 32, 32) uint8 of `thumbnail`. Returns (N,) int64 group numbers, 0 upwards in order of
    each group's first face.
    """
    assert len(sha256) == len(phashes) == len(thumbnails)
    _, first, same = np.unique(np.asarray(sha256), return_index=True, return_inverse=True)
    identical = np.column_stack([first[same], np.arange(len(same))])
    similar = near_pairs(phashes)
    similar = similar[correlations(thumbnails, similar) > MIN_CORRELATION]
    roots = _connect(len(same), np.concatenate([identical, similar]))
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def conflicting_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the faces of all groups whose age, gender or race disagree.

    table: as in `Faces.table`. Returns group, file, age, gender, race, by group and file.
    """
    labels = ["age", "gender", "race"]
    disagree = (table.groupby("group")[labels].transform("nunique") > 1).any(axis=1)
    columns = ["group", "file", *labels]
    return table.loc[disagree, columns].sort_values(["group", "file"], ignore_index=True)
