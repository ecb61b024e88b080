"""The demo faces: named as in UTKFace, the same every time, and worth learning from."""

import hashlib
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from utkface.data.demo import draw_face, write_demo_faces
from utkface.data.duplicates import group_copies, perceptual_hash, thumbnail

NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_(\d{17})\.jpg\.chip\.jpg")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("demo")
    write_demo_faces(folder, num_faces=150, seed=0)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_two_runs_give_the_same_bytes_and_a_shorter_run_the_first_of_them(
    demo: dict[str, bytes], tmp_path: Path
) -> None:
    write_demo_faces(tmp_path / "new" / "folder", num_faces=50, seed=0)
    shorter = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert len(shorter) == 50
    assert shorter.items() <= demo.items()


def test_another_seed_draws_other_people(demo: dict[str, bytes], tmp_path: Path) -> None:
    write_demo_faces(tmp_path, num_faces=10, seed=1)
    assert not {path.read_bytes() for path in tmp_path.iterdir()} & set(demo.values())


def test_files_are_200_pixel_rgb_jpegs_in_the_utkface_naming(demo: dict[str, bytes]) -> None:
    assert len(demo) == 150
    for name, jpeg in demo.items():
        assert NAME.fullmatch(name), name
        image = Image.open(io.BytesIO(jpeg))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (200, 200))


def test_ages_are_as_uneven_as_in_utkface(demo: dict[str, bytes]) -> None:
    ages = np.array([int(name.split("_")[0]) for name in demo])
    assert ages.min() >= 1
    young_adults, old = np.mean((ages >= 20) & (ages < 40)), np.mean(ages >= 70)
    assert 0.35 < young_adults < 0.65
    assert 0 < old < 0.15
    genders = Counter(name.split("_")[1] for name in demo)
    assert min(genders.values()) > 50


def test_groups_are_the_copies_that_were_planted_and_no_strangers(demo: dict[str, bytes]) -> None:
    by_date = sorted(demo, key=lambda name: name.split("_")[3])
    images = [Image.open(io.BytesIO(demo[name])) for name in by_date]
    groups = group_copies(
        [hashlib.sha256(demo[name]).hexdigest() for name in by_date],
        np.array([perceptual_hash(image) for image in images], np.uint64),
        np.stack([thumbnail(image) for image in images]),
    )
    pairs = {(first, first + 24) for first in range(0, 150, 25)}
    found = {(i, j) for j in range(150) for i in range(j) if groups[i] == groups[j]}
    assert found == pairs
    identical = [demo[by_date[i]] == demo[by_date[j]] for i, j in sorted(pairs)]
    assert identical == [True, False] * 3  # the others were saved again
    same_labels = [by_date[i].split("_")[:3] == by_date[j].split("_")[:3] for i, j in sorted(pairs)]
    assert same_labels == [True, True, False, False, True, True]


def test_age_and_gender_can_be_learned_from_the_pixels() -> None:
    kinds = [(age, gender) for age in (8, 30, 75) for gender in (0, 1)] * 25
    drawn = [draw_face(*kind, i % 5, np.random.default_rng(i)) for i, kind in enumerate(kinds)]
    pixels = np.stack([np.asarray(face.resize((32, 32))).ravel() / 255 for face in drawn])
    for labels, chance in zip(zip(*kinds, strict=True), (1 / 3, 1 / 2), strict=True):
        assert cross_val_score(SVC(C=10), pixels, labels).mean() > chance + 0.15


@pytest.mark.parametrize("age", [0, 1, 18, 116])
@pytest.mark.parametrize("gender", [0, 1])
def test_any_labels_can_be_drawn(age: int, gender: int) -> None:
    for race in range(5):
        face = draw_face(age, gender, race, np.random.default_rng(race))
        assert np.asarray(face).std() > 10
