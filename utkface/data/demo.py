"""Drawn faces in the UTKFace naming, to show and test the system where there are no photographs.

Ages follow UTKFace's (young adults common, the old rare), and, as in UTKFace, some pictures are
there twice, byte for byte or saved again, a few of them with another label.
"""

import io
import os
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from utkface.data.demo_drawing import draw_face
from utkface.data.demo_traits import draw_traits
from utkface.errors import UserError

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
_RACE_SHARES = (0.425, 0.191, 0.145, 0.168, 0.071)
_COPY_EVERY = 25  # of 25 faces the last is a copy of the first
_FIRST_DATE = datetime(2017, 1, 9, 15, 5, 57)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _draw_person(rng: np.random.Generator) -> tuple[int, int, int, bytes]:
    """Draw age, gender, race and the JPEG of one person."""
    counts = np.array([count for *_, count in _AGES], float)
    first, last, _ = _AGES[rng.choice(len(_AGES), p=counts / counts.sum())]
    age = int(rng.integers(first, last + 1))
    gender, race = int(rng.random() < 0.477), int(rng.choice(5, p=_RACE_SHARES))
    image = draw_face(draw_traits(age, gender, race, rng), rng)
    return age, gender, race, _jpeg(image, int(rng.integers(80, 93)))


def _file_name(age: int, gender: int, race: int, number: int) -> str:
    # Seven and a bit seconds apart, so that dates differ down to the millisecond.
    date = _FIRST_DATE + timedelta(milliseconds=7_357 * number)
    stamp = date.strftime("%Y%m%d%H%M%S") + f"{date.microsecond // 1000:03d}"
    return f"{age}_{gender}_{race}_{stamp}.jpg.chip.jpg"


def _copy(person: tuple[int, int, int, bytes], number: int) -> tuple[int, int, int, bytes]:
    """Copy a picture: identical or saved again in turn; every fourth copy has another age."""
    age, gender, race, jpeg = person
    if number % 2:
        jpeg = _jpeg(Image.open(io.BytesIO(jpeg)), quality=60)
    return age + (3 if number % 4 >= 2 else 0), gender, race, jpeg


def write_demo_faces(folder: Path, num_faces: int = 600, seed: int = 0) -> None:
    """Write ``num_faces`` drawn faces, 200×200 JPEGs, into a new or empty ``folder``.

    The same ``seed`` gives the same bytes with the same Pillow and NumPy, and the first faces do
    not depend on ``num_faces``. The folder appears complete or not at all.

    Raises:
        UserError: The folder is there and not empty.

    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"cannot write demo faces to {folder}: it exists; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        person: tuple[int, int, int, bytes] = (0, 0, 0, b"")
        for number in range(num_faces):
            place = number % _COPY_EVERY
            if place == _COPY_EVERY - 1:
                *labels, jpeg = _copy(original, number // _COPY_EVERY)
            else:
                *labels, jpeg = person = _draw_person(np.random.default_rng([seed, number]))
                original = person if place == 0 else original
            (staging / _file_name(*labels, number)).write_bytes(jpeg)
        staging.chmod(0o755)  # mkdtemp's folders are private
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
