"""Measuring a whole source: rows, order, parallel work, the cache; and each measure by itself."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image, ImageFilter

from utkface import io
from utkface.data import load_faces
from utkface.evaluation import brisque, quality
from utkface.evaluation.quality import (
    QUALITY_COLUMNS,
    colour_variance,
    contrast,
    entropy,
    high_frequency_energy,
    laplacian_variance,
    luma,
    luminance,
    measure_image,
    measure_quality,
)
from utkface.io import UserError

NUM_FACES = 12
SIDE = 200


def face_name(number: int) -> str:
    return f"{number}_{number % 2}_0_{20170101000000000 + number}.jpg.chip.jpg"


def write_face(path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((200, 200), Image.Resampling.BICUBIC).save(path, "JPEG")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(NUM_FACES):
        write_face(folder / face_name(number), seed=number)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def faces(source):
    return load_faces(source, 32)


@pytest.fixture
def measured_files(monkeypatch):
    """The paths of all files measured from now on."""
    paths = []
    measure_file = quality._measure_file

    def noting(file):
        paths.append(file.path)
        return measure_file(file)

    monkeypatch.setattr(quality, "_measure_file", noting)
    return paths


def test_each_row_is_that_of_its_original_photograph(faces, source):
    table = measure_quality(faces, source)
    assert list(table.columns) == ["file", *QUALITY_COLUMNS]
    assert table.file.tolist() == faces.table.file.tolist()
    for row in (0, 7, NUM_FACES - 1):
        original = np.asarray(Image.open(source / table.file[row]))
        assert table.loc[row, list(QUALITY_COLUMNS)].tolist() == measure_image(original).tolist()


def test_workers_and_order_of_rows_change_nothing(faces, source, monkeypatch):
    monkeypatch.setattr(io, "num_cores", lambda: 1)
    table = measure_quality(faces, source)
    turned = dataclasses.replace(faces, table=faces.table[::-1].reset_index(drop=True))
    monkeypatch.setattr(io, "num_cores", lambda: 3)
    assert measure_quality(turned, source)[::-1].reset_index(drop=True).equals(table)


def test_a_second_call_reads_no_photograph(faces, source, measured_files):
    table = measure_quality(faces, source)
    assert len(measured_files) == NUM_FACES
    shutil.rmtree(source)
    assert measure_quality(faces, source).equals(table)
    assert len(measured_files) == NUM_FACES


def test_only_the_rows_asked_for_are_measured(faces, source, measured_files):
    some = measure_quality(faces, source, rows=np.array([5, 2]))
    assert len(measured_files) == 2
    assert some.file.tolist() == faces.table.file.tolist()
    every = measure_quality(faces, source)
    assert some.iloc[[2, 5]].equals(every.iloc[[2, 5]])
    assert some.drop(index=[2, 5])[list(QUALITY_COLUMNS)].isna().all().all()


def test_the_first_of_several_files_of_a_name_is_measured(source):
    (source / "again").mkdir()
    write_face(source / "again" / face_name(3), seed=99)
    with_another = load_faces(source, 32)
    table = measure_quality(with_another, source)
    shutil.rmtree(source / "again")
    assert table.equals(measure_quality(load_faces(source, 32), source))


def test_another_version_of_the_measures_or_other_faces_measure_again(
    faces, source, measured_files, monkeypatch
):
    measure_quality(faces, source)
    with monkeypatch.context() as patch:
        patch.setattr(quality, "_measures_version", lambda: "a later version")
        measure_quality(faces, source)
    assert len(measured_files) == 2 * NUM_FACES
    write_face(source / face_name(3), seed=99)
    changed = load_faces(source, 32)
    measure_quality(changed, source)
    assert len(measured_files) == 3 * NUM_FACES


def test_an_image_that_cannot_be_measured_is_nan(faces, source, monkeypatch):
    damaged = (source / face_name(3)).read_bytes()
    decode = quality.decode_face

    def refusing(data, image_size):
        if data == damaged:
            raise quality.ImageRejected("damaged image")
        return decode(data, image_size)

    monkeypatch.setattr(quality, "decode_face", refusing)
    table = measure_quality(faces, source).set_index("file")
    assert table.loc[face_name(3)].isna().all()
    assert table.drop(face_name(3)).notna().all().all()


def test_photographs_that_are_gone_or_changed_are_told(faces, source):
    (source / face_name(3)).unlink()
    with pytest.raises(UserError, match=r"1 of 12 photographs are not in .*3_1_0_"):
        measure_quality(faces, source)
    write_face(source / face_name(3), seed=99)
    with pytest.raises(UserError, match="changed since"):
        measure_quality(faces, source)
    shutil.rmtree(source)
    with pytest.raises(UserError, match="no such data"):
        measure_quality(faces, source)


def test_without_the_model_of_brisque_all_else_is_measured(faces, source, monkeypatch):
    table = measure_quality(faces, source)
    with monkeypatch.context() as patch:
        patch.setattr(brisque, "load_regressor", lambda: None)
        without = measure_quality(faces, source)
    assert without["brisque"].isna().all()
    assert without.drop(columns="brisque").equals(table.drop(columns="brisque"))
    assert measure_quality(faces, source).equals(table)  # once it is installed, it is measured


def constant(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), (red, green, blue), dtype=np.uint8)


def checkerboard() -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE))
    return np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, axis=2)


def wave(cycles_per_pixel: float, amplitude: float = 100) -> np.ndarray:
    """A grey wave along the columns, unrounded: (SIDE, SIDE)."""
    phase = 2 * np.pi * cycles_per_pixel * np.arange(SIDE)
    return np.tile(128 + amplitude * np.sin(phase), (SIDE, 1))


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


def test_entropy_is_of_the_shares_of_greys():
    assert entropy(luma(constant(9, 9, 9))) == 0
    assert entropy(luma(checkerboard())) == pytest.approx(1)
    assert entropy(np.arange(256.0).repeat(4).reshape(32, 32)) == pytest.approx(8)


def test_colour_variance_of_two_colours():
    image = constant(200, 0, 0)
    image[:100] = (0, 0, 0)
    # Red - green takes 0 and 200, yellow - blue 0 and 100, half of the time each.
    assert colour_variance(image) == pytest.approx(100**2 + 50**2)


def test_blur_lowers_what_measures_detail_and_contrast_only_what_is_in_grey_levels():
    rng = np.random.default_rng(5)
    smooth = Image.fromarray(rng.integers(40, 216, (12, 12, 3), dtype=np.uint8))
    pixels = np.asarray(smooth.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=float)
    noisy = (pixels + 10 * rng.standard_normal(pixels.shape)).clip(0, 255).astype(np.uint8)
    sharp = luma(noisy)
    blurred = luma(np.asarray(Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(2))))
    for measure, share in ((laplacian_variance, 1 / 4), (high_frequency_energy, 1)):
        assert measure(blurred) < 0.2 * measure(sharp)
        assert measure(sharp / 2) == pytest.approx(share * measure(sharp))
    assert contrast(sharp / 2) == pytest.approx(contrast(sharp) / 2)
