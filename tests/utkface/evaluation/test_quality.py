"""Measuring a whole source: rows, order, parallel work, the cache and its faults."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from utkface.data import load_faces
from utkface.evaluation import quality
from utkface.evaluation.quality import measure_quality
from utkface.evaluation.quality_measures import QUALITY_COLUMNS, measure_image
from utkface.io import UserError

NUM_FACES = 12


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


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def faces(source, cache_dir):
    return load_faces(source, 32, cache_dir)


@pytest.fixture
def measured_files(monkeypatch):
    """The paths of all files measured from now on."""
    paths = []
    measure_file = quality._measure_file

    def noting(photograph):
        paths.append(photograph.path)
        return measure_file(photograph)

    monkeypatch.setattr(quality, "_measure_file", noting)
    return paths


def the_cache(cache_dir):
    (path,) = (cache_dir / "quality").glob("*.npz")
    return path


def test_each_row_is_that_of_its_original_photograph(faces, source, cache_dir):
    table = measure_quality(faces, source, cache_dir)
    assert list(table.columns) == ["file", *QUALITY_COLUMNS]
    assert table.file.tolist() == faces.table.file.tolist()
    for row in (0, 7, NUM_FACES - 1):
        original = np.asarray(Image.open(source / table.file[row]))
        assert table.loc[row, list(QUALITY_COLUMNS)].tolist() == measure_image(original).tolist()


def test_workers_and_order_of_rows_change_nothing(faces, source, cache_dir, tmp_path):
    table = measure_quality(faces, source, cache_dir, num_workers=1)
    turned = dataclasses.replace(faces, table=faces.table[::-1].reset_index(drop=True))
    for other in (
        measure_quality(turned, source, tmp_path / "fresh", num_workers=3),
        measure_quality(turned, source, cache_dir),
    ):
        assert other[::-1].reset_index(drop=True).equals(table)


def test_a_second_call_reads_no_photograph(faces, source, cache_dir, measured_files):
    table = measure_quality(faces, source, cache_dir)
    assert len(measured_files) == NUM_FACES
    shutil.rmtree(source)
    assert measure_quality(faces, source, cache_dir).equals(table)
    assert len(measured_files) == NUM_FACES


def test_equal_files_are_measured_once(source, cache_dir, measured_files):
    shutil.copy(source / face_name(3), source / face_name(NUM_FACES + 1))
    table = measure_quality(load_faces(source, 32, cache_dir), source, cache_dir)
    assert len(measured_files) == NUM_FACES
    copies = table[table.file.isin([face_name(3), face_name(NUM_FACES + 1)])]
    assert copies[list(QUALITY_COLUMNS)].nunique().tolist() == [1] * len(QUALITY_COLUMNS)


def test_the_first_of_several_files_of_a_name_is_measured(source, cache_dir):
    (source / "again").mkdir()
    write_face(source / "again" / face_name(3), seed=99)
    with_another = load_faces(source, 32, cache_dir)
    table = measure_quality(with_another, source, cache_dir)
    shutil.rmtree(source / "again")
    assert table.equals(measure_quality(load_faces(source, 32, cache_dir), source, cache_dir))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-300])


def empty(path):
    path.write_bytes(b"")


def flip_a_value(path):
    data = bytearray(path.read_bytes())
    data[-2000] ^= 0x10  # among the measures: the directory at the end is shorter
    path.write_bytes(data)


def other_key(path):
    with np.load(path) as saved:
        parts = dict(saved)
    parts["key"] = np.array("another fingerprint and version")
    parts["values"] += 1
    np.savez(path, **parts)


def fewer_columns(path):
    with np.load(path) as saved:
        parts = dict(saved)
    parts["values"] = parts["values"][:, :3]
    np.savez(path, **parts)


def a_part_missing(path):
    np.savez(path, key=np.array("x"))


@pytest.mark.parametrize(
    "fault", [cut_short, empty, flip_a_value, other_key, fewer_columns, a_part_missing]
)
def test_a_faulty_cache_is_measured_again(fault, faces, source, cache_dir, measured_files):
    table = measure_quality(faces, source, cache_dir)
    fault(the_cache(cache_dir))
    assert measure_quality(faces, source, cache_dir).equals(table)
    assert len(measured_files) == 2 * NUM_FACES
    assert measure_quality(faces, source, cache_dir).equals(table)
    assert len(measured_files) == 2 * NUM_FACES


def test_another_version_of_the_measures_or_other_faces_measure_again(
    faces, source, cache_dir, measured_files, monkeypatch
):
    measure_quality(faces, source, cache_dir)
    with monkeypatch.context() as patch:
        patch.setattr(quality, "measures_version", lambda size: "a later version")
        measure_quality(faces, source, cache_dir)
    assert len(measured_files) == 2 * NUM_FACES
    write_face(source / face_name(3), seed=99)
    changed = load_faces(source, 32, cache_dir)
    measure_quality(changed, source, cache_dir)
    assert len(measured_files) == 3 * NUM_FACES


def test_what_a_killed_run_saved_is_not_measured_again(
    faces, source, cache_dir, measured_files, monkeypatch
):
    monkeypatch.setattr(quality, "_FILES_PER_SAVE", 5)
    measure_file = quality._measure_file

    def killed(photograph):
        if len(measured_files) == 7:
            raise KeyboardInterrupt
        return measure_file(photograph)

    with monkeypatch.context() as patch:
        patch.setattr(quality, "_measure_file", killed)
        with pytest.raises(KeyboardInterrupt):
            measure_quality(faces, source, cache_dir, num_workers=1)
    resumed = measure_quality(faces, source, cache_dir)
    assert len(measured_files) == 7 + NUM_FACES - 5
    shutil.rmtree(cache_dir / "quality")
    assert measure_quality(faces, source, cache_dir).equals(resumed)


def test_an_image_that_cannot_be_measured_is_nan(faces, source, cache_dir, monkeypatch):
    damaged = (source / face_name(3)).read_bytes()
    decode = quality.decode_face

    def refusing(data, image_size):
        if data == damaged:
            raise quality.ImageRejected("damaged image")
        return decode(data, image_size)

    monkeypatch.setattr(quality, "decode_face", refusing)
    table = measure_quality(faces, source, cache_dir).set_index("file")
    assert table.loc[face_name(3)].isna().all()
    assert table.drop(face_name(3)).notna().all().all()


def test_photographs_that_are_gone_or_changed_are_told(faces, source, cache_dir):
    (source / face_name(3)).unlink()
    with pytest.raises(UserError, match=r"1 of 12 photographs are not in .*3_1_0_"):
        measure_quality(faces, source, cache_dir)
    write_face(source / face_name(3), seed=99)
    with pytest.raises(UserError, match="changed since"):
        measure_quality(faces, source, cache_dir)
    shutil.rmtree(source)
    with pytest.raises(UserError, match="no such data"):
        measure_quality(faces, source, cache_dir)
