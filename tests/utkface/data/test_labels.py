"""What a file name says of a face, and how ages are cut into bins."""

import numpy as np
import pytest

from utkface.data.labels import AGE_BINS, DECADE_BINS, NameRejected, age_bin, bin_labels, parse_name


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("26_1_2_20170116174525125.jpg.chip.jpg", (26, 1, 2)),
        ("1_0_4_20161219222832191.jpg", (1, 0, 4)),
        ("116_1_3_20170112220255503.JPG", (116, 1, 3)),
        # The five files of the published set whose date is malformed and whose labels are sound.
        ("14_0_0_2017011022340900.jpg.chip.jpg", (14, 0, 0)),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", (24, 0, 1)),
        ("28_1_2_201701161846515488.jpg.chip.jpg", (28, 1, 2)),
        ("38_0_1_201701162330572788.jpg.chip.jpg", (38, 0, 1)),
        ("55_0_0_20170116232725357jpg.chip.jpg", (55, 0, 0)),
    ],
)
def test_labels_are_read_from_strict_and_repairable_names(name, labels):
    assert parse_name(name) == labels


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        # The three that lack a label: their date must never be taken for the race.
        ("39_1_20170116174525125.jpg.chip.jpg", "a label is missing"),
        ("61_1_20170109142408075.jpg.chip.jpg", "a label is missing"),
        ("61_1_20170109150557335.jpg.chip.jpg", "a label is missing"),
        ("117_0_0_20170116174525125.jpg.chip.jpg", "unknown age: 117"),
        ("30_2_0_20170116174525125.jpg.chip.jpg", "unknown gender: 2"),
        ("30_0_5_20170116174525125.jpg.chip.jpg", "unknown race: 5"),
        ("30_0_0_2017.jpg.chip.jpg", "foreign name"),
        ("-3_0_0_20170116174525125.jpg.chip.jpg", "foreign name"),
        ("30_0_0_20170116174525125.jpg.chip.jpg.bak", "foreign name"),
        ("30_0_0_x20170116174525125.jpg", "foreign name"),
        ("portrait.jpg", "foreign name"),
        ("", "foreign name"),
    ],
)
def test_other_names_are_refused_with_a_reason(name, reason):
    with pytest.raises(NameRejected, match=reason):
        parse_name(name)


def test_ages_on_and_beside_each_edge():
    ages = [0, 3, 4, 13, 14, 23, 24, 29, 30, 39, 79, 80, 116]
    np.testing.assert_array_equal(age_bin(ages), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 8, 9, 9])
    ages = np.arange(117)  # of the nine decades the last is open
    np.testing.assert_array_equal(age_bin(ages, DECADE_BINS), np.minimum(ages // 10, 8))


def test_labels_name_the_ages_that_fall_into_their_bin():
    for edges in (AGE_BINS, DECADE_BINS):
        labels = bin_labels(edges)
        assert len(labels) == len(edges) - 1
        for label, low in zip(labels, edges[:-1], strict=True):
            assert label.startswith(f"{low:.0f}")
            assert labels[age_bin(low, edges)] == label
    assert bin_labels(DECADE_BINS)[0] == "0–9"
    assert bin_labels(DECADE_BINS)[-1] == "80+"


def test_bins_are_whole_numbers_of_the_shape_given():
    bins = age_bin(np.array([[1, 50], [90, 20]]))
    assert bins.dtype == np.int64
    assert bins.shape == (2, 2)
