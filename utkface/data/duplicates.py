"""Copies of one photograph: which faces must stay on the same side of a split.

Files with the same bytes are copies. Pictures that were saved again, resized, brightened or
mirrored are found by the perceptual hash of imagehash (DCT, 64 bits, distances are even) and then
told from strangers in the same pose by the correlation of 32×32 grey thumbnails. The hash alone
cannot do that: of UTKFace's 3,203 other pairs within 6 bits four fifths are strangers.

Both limits come from looking at pairs of UTKFace (23,705 faces) around them, as pictures:

========  ===========  ==============================================================
distance  correlation  what the pairs show
========  ===========  ==============================================================
0 – 6     > 0.98       648 pairs, the same photograph
0 – 6     0.95 – 0.98  40 pairs, all the same photograph: other contrast, blur, a mark across it
0 – 6     0.93 – 0.95  33 pairs, about 13 the same photograph, 20 strangers
8         > 0.95       14 pairs, 11 the same photograph, 3 strangers
8 – 10    0.94 – 0.95  40 pairs, about 7 the same photograph, the others strangers
10 – 26   > 0.95       17 pairs, about 5 the same photograph, the others strangers
mirrored  > 0.95       55 pairs at any distance; of the best 40, 37 the same photograph
========  ===========  ==============================================================

Hence at most 8 bits and more than 0.95. A copy that is missed leaks from training into the test,
two strangers kept on one side cost nothing, so the limits lean towards grouping, but not so far
that groups chain: 948 groups have more than one face, the largest has five, and all groups of four
or five, and the 45 with the widest spread of ages, show one photograph each.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIZE = 32
MAX_DISTANCE = 8  # bits of 64
MIN_CORRELATION = 0.95
_BLOCK = 512  # rows compared at a time: 512 × 23,705 distances take about 100 MB for a moment

# Mirroring a picture changes the sign of its odd horizontal frequencies, and with it their bits.
_MIRROR = np.uint64(0x5555_5555_5555_5555)


def perceptual_hash(image: Image.Image) -> int:
    """Return the 64-bit pHash of a face, to be kept as uint64 (the first bit is the highest)."""
    import imagehash

    return int(str(imagehash.phash(image)), 16)


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Return a face as a small grey picture, (32, 32) uint8: what copies are compared by."""
    grey = image.convert("L")
    return np.asarray(grey.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX))


def near_pairs(
    phashes: NDArray[np.uint64], others: NDArray[np.uint64], max_distance: int = MAX_DISTANCE
) -> NDArray[np.int64]:
    """Return the pairs (i, j), i < j, for which ``phashes[i]`` and ``others[j]`` are near.

    phashes, others: (N,) uint64; near: they differ in at most ``max_distance`` bits.
    Returns (P, 2) row numbers, in order.
    """
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(phashes), _BLOCK):
        block, later = phashes[start : start + _BLOCK], others[start:]
        distance = np.bitwise_count(block[:, None] ^ later)
        first, second = np.nonzero(distance <= max_distance)
        ahead = second > first
        found.append(np.column_stack([first[ahead], second[ahead]]) + start)
    return np.concatenate(found)


def correlations(
    thumbnails: NDArray[np.uint8], others: NDArray[np.uint8], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return Pearson's correlation of the grey values of each pair; 0 where a picture is flat.

    thumbnails, others: (N, H, W) uint8; pairs: (P, 2), a row of each. Returns (P,).
    """
    result = np.zeros(len(pairs))
    for start in range(0, len(pairs), 4096):  # a few MB at a time, however many pairs
        first, second = pairs[start : start + 4096].T
        a, b = (
            pictures.reshape(len(pictures), -1).astype(np.float32)
            for pictures in (thumbnails[first], others[second])
        )
        a -= a.mean(axis=1, keepdims=True)
        b -= b.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        dot = np.einsum("ij,ij->i", a, b)
        np.divide(dot, norm, out=result[start : start + 4096], where=norm > 0)
    return result


def _similar_pairs(phashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    found = []
    for mirror, others in ((np.uint64(0), thumbnails), (_MIRROR, thumbnails[:, :, ::-1])):
        pairs = near_pairs(phashes, phashes ^ mirror)
        found.append(pairs[correlations(thumbnails, others, pairs) > MIN_CORRELATION])
    return np.concatenate(found)


def group_copies(
    sha256: Sequence[str], phashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Give every face a group: faces of one group are copies of the same photograph.

    sha256: N hex digests of the files; phashes: (N,) uint64 of `perceptual_hash`; thumbnails:
    (N, 32, 32) uint8 of `thumbnail`. Returns (N,) int64 group numbers, 0 upwards in order of
    each group's first face.
    """
    # scipy is there whenever imagehash is.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    num_faces = len(sha256)
    assert num_faces == len(phashes) == len(thumbnails)
    if num_faces == 0:
        return np.empty(0, np.int64)
    _, first, same = np.unique(np.asarray(sha256), return_index=True, return_inverse=True)
    identical = np.column_stack([first[same], np.arange(num_faces)])
    links = np.concatenate([identical, _similar_pairs(phashes, thumbnails)])
    graph = coo_array((np.ones(len(links), bool), tuple(links.T)), shape=(num_faces, num_faces))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def conflicting_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the faces of all groups whose age, gender or race disagree.

    table: as in `Faces.table`. Returns group, file, age, gender, race, by group and file.
    """
    labels = ["age", "gender", "race"]
    disagree = (table.groupby("group")[labels].transform("nunique") > 1).any(axis=1)
    columns = ["group", "file", *labels]
    return table.loc[disagree, columns].sort_values(["group", "file"], ignore_index=True)
