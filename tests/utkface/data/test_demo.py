"""The demo faces: named as in UTKFace, the same every time, and worth learning from."""

import hashlib
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utkface.data.demo import draw_face, draw_traits, write_demo_faces
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


def test_age_shows_in_hair_and_wrinkles_and_gender_in_brows_and_hair() -> None:
    def mean_of(age: int, gender: int, trait: str) -> float:
        people = [draw_traits(age, gender, 0, np.random.default_rng(i)) for i in range(200)]
        return float(np.mean([getattr(person, trait) for person in people]))

    for trait, rises in (("grey", True), ("wrinkles", True), ("eye_size", False)):
        means = [mean_of(age, 0, trait) for age in (5, 45, 60, 85)]
        assert means == sorted(means, reverse=not rises)
        assert means[0] != means[-1]
    assert mean_of(30, 1, "hair_length") > mean_of(30, 0, "hair_length") + 0.3
    assert mean_of(30, 1, "brow_thickness") < mean_of(30, 0, "brow_thickness") - 0.02
    assert mean_of(30, 1, "beard") == 0


def test_two_photographs_of_one_person_differ() -> None:
    person = draw_traits(30, 1, 2, np.random.default_rng(0))
    first, second = (np.asarray(draw_face(person, np.random.default_rng(i)), int) for i in (1, 2))
    assert np.abs(first - second).mean() > 10


@pytest.mark.parametrize("age", [0, 1, 18, 116])
@pytest.mark.parametrize("gender", [0, 1])
@pytest.mark.parametrize("race", range(5))
def test_any_labels_can_be_drawn(age: int, gender: int, race: int) -> None:
    rng = np.random.default_rng([age, gender, race])
    assert np.asarray(draw_face(draw_traits(age, gender, race, rng), rng)).std() > 10
