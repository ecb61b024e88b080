"""BRISQUE against the numbers that the PyPI package gives, and the reading of its model."""

import importlib.metadata
import pickle

import numpy as np
import pytest

from utkface.evaluation.brisque import (
    _normalised,
    _parse,
    brisque,
    brisque_features,
    load_regressor,
)


def scene(noise: float, frequency: float = 1.0) -> np.ndarray:
    """Coloured waves under noise of this many grey levels: (200, 200, 3) uint8."""
    rng = np.random.default_rng(7)
    rows, columns = np.indices((200, 200)) / 200
    channels = [
        128 + 40 * np.sin(frequency * (9 * rows + shift)) + 40 * np.cos(frequency * 13 * columns)
        for shift in (0.0, 0.4, 0.9)
    ]
    pixels = np.stack(channels, axis=-1) + noise * rng.standard_normal((200, 200, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def smoothed(image: np.ndarray) -> np.ndarray:
    """The image under a 3x3 box."""
    padded = np.pad(image.astype(float), [(1, 1), (1, 1), (0, 0)], mode="edge")
    windows = [padded[i : i + 200, j : j + 200] for i in range(3) for j in range(3)]
    return np.mean(windows, axis=0).astype(np.uint8)


# Given by brisque 0.2.0 with libsvm-official 3.37.0 and OpenCV 5.0.0, its scale_features mended.
KNOWN = {
    "clean": (scene(4), 11.6426),
    "noisy": (scene(30), 66.2696),
    "noisier": (scene(60), 75.8615),
    "fine": (scene(10, frequency=8), 102.2245),
    "smoothed": (smoothed(scene(30)), 9.3568),
}


@pytest.mark.parametrize("name", KNOWN)
def test_scores_are_those_of_the_package(name):
    image, score = KNOWN[name]
    assert brisque(image) == pytest.approx(score, abs=1e-3)


def test_features_are_those_of_the_package():
    full = [2.73273, 0.54236, 0.92773, -0.09283, 0.33389, 0.1971, 0.9392, -0.08697, 0.32466]
    full += [0.19783, 0.89725, -0.06745, 0.32261, 0.22072, 0.88889, -0.05734, 0.31711, 0.22987]
    half = [2.57507, 0.35634, 0.83366, -0.09114, 0.17557, 0.08036, 0.84003, -0.09803, 0.18198]
    half += [0.07904, 0.81426, -0.01338, 0.12723, 0.11333, 0.80377, -0.0216, 0.13514, 0.11231]
    assert brisque_features(scene(10)) == pytest.approx([*full, *half], abs=1e-5)


def test_an_image_without_structure_has_no_score():
    for value in (0, 90, 255):
        assert np.isnan(brisque(np.full((200, 200, 3), value, dtype=np.uint8)))


@pytest.mark.parametrize("level", [1, 90, 201, 255])
def test_a_flat_patch_is_zero_whatever_rounding_makes_of_it(level):
    patch = np.full((40, 40), level / 255)
    assert not _normalised(patch)[3:-3, 3:-3].any()


def test_without_its_package_there_is_no_score(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    load_regressor.cache_clear()
    try:
        assert np.isnan(brisque(scene(noise=5)))
    finally:
        load_regressor.cache_clear()


def test_a_pickle_that_names_code_is_refused():
    with pytest.raises(pickle.UnpicklingError, match="code in a file of numbers"):
        _parse(
            "svm_type epsilon_svr\nkernel_type rbf\ngamma 1\nrho 0\nSV\n1 1:1\n",
            pickle.dumps({"min_": print}),
        )
