"""Known answers of the quality measures, and how they answer to blur, noise and grey."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from utkface.evaluation.quality_brisque import brisque
from utkface.evaluation.quality_measures import (
    QUALITY_COLUMNS,
    colour_variance,
    contrast,
    high_frequency_energy,
    laplacian_variance,
    luma,
    luminance,
    measure_image,
)

SIDE = 200


def constant(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), (red, green, blue), dtype=np.uint8)


def checkerboard() -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE))
    return np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, axis=2)


def wave(cycles_per_pixel: float, amplitude: float = 100) -> np.ndarray:
    """A grey wave along the columns, unrounded: (SIDE, SIDE)."""
    phase = 2 * np.pi * cycles_per_pixel * np.arange(SIDE)
    return np.tile(128 + amplitude * np.sin(phase), (SIDE, 1))


def textured(noise: float, coarse: int = 12) -> np.ndarray:
    """A smooth coloured picture under noise of this many grey levels."""
    rng = np.random.default_rng(5)
    smooth = Image.fromarray(rng.integers(40, 216, (coarse, coarse, 3), dtype=np.uint8))
    pixels = np.asarray(smooth.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=float)
    return (pixels + noise * rng.standard_normal(pixels.shape)).clip(0, 255).astype(np.uint8)


def blurred(image: np.ndarray, radius: float = 2) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def test_a_flat_image_has_a_colour_and_nothing_else():
    measured = dict(zip(QUALITY_COLUMNS, measure_image(constant(100, 150, 200)), strict=True))
    assert measured.pop("luminance") == pytest.approx(0.299 * 100 + 0.587 * 150 + 0.114 * 200)
    assert np.isnan(measured.pop("brisque"))
    assert measured == pytest.approx(dict.fromkeys(measured, 0), abs=1e-9)


@pytest.mark.parametrize(
    ("colour", "luma_601"), [((255, 0, 0), 76.245), ((0, 255, 0), 149.685), ((0, 0, 255), 29.07)]
)
def test_luminance_of_a_colour_is_its_rec_601_luma(colour, luma_601):
    assert luminance(luma(constant(*colour))) == pytest.approx(luma_601)


def test_luminance_sees_the_centre_only():
    image = constant(0, 0, 0)
    image[50:150, 50:150] = 200
    assert luminance(luma(image)) == pytest.approx(200)


def test_a_checkerboard_is_all_contrast_and_high_frequency():
    grey = luma(checkerboard())
    # Each inner Laplacian is ±4 · 255, and both signs are equally frequent.
    assert laplacian_variance(grey) == pytest.approx((4 * 255) ** 2)
    assert high_frequency_energy(grey) == pytest.approx(1, abs=1e-3)
    assert contrast(grey) == pytest.approx(0.5)
    assert colour_variance(checkerboard()) == 0


@pytest.mark.parametrize(("cycles_per_pixel", "share"), [(0.1, 0), (0.2, 0), (0.3, 1), (0.45, 1)])
def test_a_wave_is_on_its_side_of_the_stated_frequency(cycles_per_pixel, share):
    for grey in (wave(cycles_per_pixel), wave(cycles_per_pixel).T):
        assert high_frequency_energy(grey) == pytest.approx(share, abs=1e-3)


def test_the_share_of_two_waves_is_that_of_their_squared_amplitudes():
    both = wave(0.1, amplitude=60) + wave(0.4, amplitude=20)
    assert high_frequency_energy(both) == pytest.approx(20**2 / (60**2 + 20**2), rel=1e-3)


def test_contrast_scales_only_what_is_measured_in_grey_levels():
    strong, weak = wave(0.3, amplitude=100), wave(0.3, amplitude=50)
    assert contrast(strong) == pytest.approx(2 * contrast(weak))
    assert laplacian_variance(strong) == pytest.approx(4 * laplacian_variance(weak))
    assert high_frequency_energy(strong) == pytest.approx(high_frequency_energy(weak))


def test_colour_variance_of_two_colours():
    image = constant(200, 0, 0)
    image[:100] = (0, 0, 0)
    # Red - green takes 0 and 200, yellow - blue 0 and 100, half of the time each.
    assert colour_variance(image) == pytest.approx(100**2 + 50**2)


def test_blur_lowers_what_measures_detail():
    sharp = textured(noise=10)
    for measure in (laplacian_variance, high_frequency_energy):
        assert measure(luma(blurred(sharp))) < 0.2 * measure(luma(sharp))


def test_noise_and_blur_raise_brisque():
    natural = textured(noise=4, coarse=60)
    assert brisque(textured(noise=40, coarse=60)) > brisque(natural) + 10
    assert brisque(blurred(natural)) > brisque(natural) + 10
