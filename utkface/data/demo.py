"""Drawn faces in the UTKFace naming, to show and test the system where there are no photographs.

Ages follow UTKFace's (young adults common, the old rare), and, as in UTKFace, some pictures are
there twice, byte for byte or saved again, a few of them with another label.
"""

import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from utkface.data.demo_drawing import draw_face
from utkface.data.demo_traits import draw_traits

# UTKFace's own counts: first and last age of a range, faces in it.
_AGES = (
    (1, 2, 1605),
    (3, 9, 1457),
    (10, 19, 1530),
    (20, 29, 7342),
    (30, 39, 4535),
    (40, 49, 2245),
    (50, 59, 2298),
    (60, 69, 1316),
    (70, 79, 699),
    (80, 89, 504),
    (90, 100, 169),
)
_FEMALE_SHARE = 0.477
_RACE_SHARES = (0.425, 0.191, 0.145, 0.168, 0.071)
_COPY_EVERY = 25  # of 25 faces the last is a copy of the first
_FIRST_DATE = datetime(2017, 1, 9, 15, 5, 57)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class _Face(NamedTuple):
    age: int
    gender: int
    race: int
    jpeg: bytes


def _draw_person(rng: np.random.Generator) -> _Face:
    counts = np.array([count for *_, count in _AGES], float)
    first, last, _ = _AGES[rng.choice(len(_AGES), p=counts / counts.sum())]
    age = int(rng.integers(first, last + 1))
    gender, race = int(rng.random() < _FEMALE_SHARE), int(rng.choice(5, p=_RACE_SHARES))
    image = draw_face(draw_traits(age, gender, race, rng), rng)
    return _Face(age, gender, race, _jpeg(image, int(rng.integers(80, 93))))


def _copy(face: _Face, number: int) -> _Face:
    """Copy a picture, identical or saved again in turn; every other two copies have another age."""
    jpeg = _jpeg(Image.open(io.BytesIO(face.jpeg)), 60) if number % 2 else face.jpeg
    return face._replace(jpeg=jpeg, age=face.age + (3 if number % 4 >= 2 else 0))


def _file_name(face: _Face, number: int) -> str:
    # Seven and a bit seconds apart, so that dates differ down to the millisecond.
    date = _FIRST_DATE + timedelta(milliseconds=7_357 * number)
    stamp = date.strftime("%Y%m%d%H%M%S") + f"{date.microsecond // 1000:03d}"
    return f"{face.age}_{face.gender}_{face.race}_{stamp}.jpg.chip.jpg"


def write_demo_faces(folder: Path, num_faces: int = 600, seed: int = 0) -> None:
    """Write ``num_faces`` drawn faces, 200×200 JPEGs, into ``folder``, made if it is not there.

    The same ``seed`` gives the same bytes with the same Pillow and NumPy, and the first faces do
    not depend on ``num_faces``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_faces):
        is_copy = number % _COPY_EVERY == _COPY_EVERY - 1
        person = number - _COPY_EVERY + 1 if is_copy else number
        face = _draw_person(np.random.default_rng([seed, person]))
        if is_copy:
            face = _copy(face, number // _COPY_EVERY)
        (folder / _file_name(face, number)).write_bytes(face.jpeg)
