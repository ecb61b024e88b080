import numpy as np

from utkface.data.bins import AGE_BINS, DECADE_BINS, age_bin, bin_labels


def test_ages_on_and_beside_each_edge():
    ages = [0, 3, 4, 13, 14, 23, 24, 29, 30, 39, 79, 80, 116]
    np.testing.assert_array_equal(age_bin(ages), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 8, 9, 9])


def test_decades_are_nine_and_the_last_is_open():
    ages = np.arange(117)
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
