"""Small sets of files named as in UTKFace."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def face_name(number: int, age: int = 30, gender: int = 0, race: int = 0) -> str:
    return f"{age}_{gender}_{race}_{20170101000000000 + number}.jpg.chip.jpg"


def picture(seed: int, side: int = 64) -> Image.Image:
    """A smooth picture, unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def make_name():
    return face_name


@pytest.fixture
def make_picture():
    return picture


@pytest.fixture
def encode():
    return encoded


@pytest.fixture
def reverse_folders(monkeypatch):
    """Calling this turns round the order in which the file system gives a folder's entries."""

    class Reversed(list):
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    scandir = os.scandir
    turned = lambda path: Reversed(reversed(list(scandir(path))))  # noqa: E731
    return lambda: monkeypatch.setattr(os, "scandir", turned)


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch) -> Path:
    """What a test decodes and unpacks goes to a folder of its own, which is not there yet."""
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def faces_folder(tmp_path) -> Path:
    """Ten sound faces, two of them with the same bytes."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(10):
        name = face_name(number, age=10 * number, gender=number % 2, race=number % 5)
        (folder / name).write_bytes(encoded(picture(min(number, 8))))
    return folder
