"""Copies are found through everything that happens to a picture on the web; strangers are not."""

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from utkface.data.demo import draw_face
from utkface.data.duplicates import (
    conflicting_labels,
    correlations,
    group_copies,
    near_pairs,
    perceptual_hash,
    thumbnail,
)


def _face(number: int) -> Image.Image:
    return draw_face(20 + number, number % 2, number % 5, np.random.default_rng(number))


def _groups(images: list[Image.Image]) -> list[int]:
    """Group pictures whose files all differ."""
    hashes = np.array([perceptual_hash(image) for image in images], np.uint64)
    thumbnails = np.stack([thumbnail(image) for image in images])
    return group_copies([str(i) for i in range(len(images))], hashes, thumbnails).tolist()


def _saved_again(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": _saved_again,
    "smaller": lambda image: image.resize((90, 90)),
    "cropped by a pixel": lambda image: image.crop((1, 1, 199, 199)).resize((200, 200)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "mirrored and saved again": lambda image: _saved_again(ImageOps.mirror(image)),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_found(change: str) -> None:
    for number in range(4):
        face = _face(number)
        assert _groups([face, _face(number + 50), COPIES[change](face)]) == [0, 1, 0]


def test_forty_strangers_stay_strangers() -> None:
    assert _groups([_face(number) for number in range(40)]) == list(range(40))


def test_the_hash_is_the_sign_of_low_frequencies_against_their_median() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    k, x = np.arange(8)[:, None], np.arange(32)
    cosines = np.cos(np.pi * k * (2 * x + 1) / 64)  # DCT-II, the eight lowest frequencies
    low = cosines @ pixels.astype(float) @ cosines.T
    bits = (low > np.median(low)).ravel()
    expected = sum(int(bit) << (63 - i) for i, bit in enumerate(bits))
    assert perceptual_hash(Image.fromarray(pixels)) == expected


def test_a_thumbnail_is_the_grey_mean_of_each_block() -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    picture = Image.fromarray(blocks.repeat(4, axis=0).repeat(4, axis=1)).convert("RGB")
    np.testing.assert_array_equal(thumbnail(picture), blocks)


def test_near_pairs_counts_bits() -> None:
    hashes = np.array([0, 0b11, 0b1111, 2**64 - 1], np.uint64)
    assert near_pairs(hashes, hashes, max_distance=2).tolist() == [[0, 1], [1, 2]]
    assert near_pairs(hashes, hashes, max_distance=4).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert near_pairs(hashes, ~hashes, max_distance=0).tolist() == [[0, 3]]
    many = np.random.default_rng(0).integers(0, 2**64, 1500, dtype=np.uint64)  # several blocks
    many[[3, 1400]] = 7
    assert [3, 1400] in near_pairs(many, many, 0).tolist()


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 64))
def test_near_pairs_agrees_with_counting_one_by_one(hashes: list[int], limit: int) -> None:
    expected = [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= limit
    ]
    array = np.array(hashes, np.uint64)
    assert near_pairs(array, array, limit).tolist() == expected


def test_correlation_is_pearsons_and_zero_for_flat_pictures() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    flat = np.full((1, 8, 8), 9, np.uint8)
    pictures = np.concatenate([pictures, flat])
    pairs = np.array([[0, 1], [1, 2], [2, 2], [0, 3], [3, 3]])
    expected = [np.corrcoef(pictures[i].ravel(), pictures[j].ravel())[0, 1] for i, j in pairs[:3]]
    found = correlations(pictures, pictures, pairs)
    np.testing.assert_allclose(found, [*expected, 0, 0], atol=1e-6)


def test_identical_bytes_join_whatever_they_show_and_links_carry_on() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 5, dtype=np.uint64)
    thumbnails = rng.integers(0, 256, (5, 32, 32)).astype(np.uint8)
    hashes[4], thumbnails[4] = hashes[1], thumbnails[1]  # looks like 1, which has the bytes of 3
    assert group_copies(list("abcbd"), hashes, thumbnails).tolist() == [0, 1, 2, 1, 1]


def test_the_hash_alone_joins_nothing() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (4, 32, 32)).astype(np.uint8)
    assert group_copies(list("abcd"), np.zeros(4, np.uint64), thumbnails).tolist() == [0, 1, 2, 3]


def test_no_faces_have_no_groups() -> None:
    none = group_copies([], np.empty(0, np.uint64), np.empty((0, 32, 32), np.uint8))
    assert none.shape == (0,)


def test_conflicts_are_the_groups_whose_labels_disagree() -> None:
    table = pd.DataFrame(
        {
            "file": ["f", "e", "d", "c", "b", "a"],
            "age": [30, 30, 40, 41, 50, 60],
            "gender": [0, 1, 1, 1, 0, 0],
            "race": [0, 0, 2, 2, 3, 3],
            "group": [7, 7, 2, 2, 5, 6],
        }
    )
    conflicts = conflicting_labels(table)
    assert list(conflicts.columns) == ["group", "file", "age", "gender", "race"]
    assert conflicts["file"].tolist() == ["c", "d", "e", "f"]
    assert conflicting_labels(table.iloc[4:]).empty
