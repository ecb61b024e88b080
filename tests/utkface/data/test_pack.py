import errno
import hashlib
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from utkface.data import load_faces, pack
from utkface.io import UserError


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_every_image_is_decoded_once_and_not_again_by_a_second_load(faces_folder, monkeypatch):
    decoded: list[str] = []
    decode = pack._decode

    def counting(file, image_size):
        decoded.append(file.path.name)
        return decode(file, image_size)

    monkeypatch.setattr(pack, "_decode", counting)
    first, second = load_faces(faces_folder, 32), load_faces(faces_folder, 32)
    assert sorted(decoded) == sorted(path.name for path in faces_folder.iterdir())
    assert second.path == first.path
    assert second.table.equals(first.table)


def test_size_content_and_versions_each_make_another_cache(
    faces_folder, monkeypatch, make_picture, encode
):
    paths = [load_faces(faces_folder, 32).path]
    paths.append(load_faces(faces_folder, 33).path)
    some = next(faces_folder.iterdir())
    old = some.stat()
    data = encode(make_picture(50))
    some.write_bytes(data + bytes(max(0, old.st_size - len(data))))
    os.utime(some, ns=(old.st_atime_ns, old.st_mtime_ns))  # the clock does not tell
    paths.append(load_faces(faces_folder, 32).path)
    monkeypatch.setattr(pack, "VERSION", pack.VERSION + 1)
    paths.append(load_faces(faces_folder, 32).path)
    monkeypatch.setattr(pack.importlib.metadata, "version", lambda name: "another")
    paths.append(load_faces(faces_folder, 32).path)
    assert len(set(paths)) == 5


def test_pixels_hashes_and_groups_are_those_of_this_version(
    tmp_path, make_picture, make_name, encode
):
    """Where decoding or grouping is meant to give something else, raise `pack.VERSION`."""
    (tmp_path / "faces").mkdir()
    turned = make_picture(0, 80).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    veiled = make_picture(3)
    veiled.putalpha(150)
    wide = make_picture(1, 50).resize((70, 50))
    kinds = [make_picture(0, 80), wide, turned, make_picture(2).convert("L"), veiled]
    for number, picture in enumerate(kinds):
        (tmp_path / "faces" / make_name(number)).write_bytes(encode(picture, "PNG"))
    faces = load_faces(tmp_path / "faces", 32)
    rows = pd.read_csv(faces.path.with_suffix(".csv"), dtype=str)
    assert list(faces.table.group) == [0, 1, 0, 2, 3]
    content = faces.images.tobytes() + " ".join(rows.phash).encode()
    assert hashlib.sha256(content).hexdigest()[:16] == "5df65ce38326b398"  # VERSION 1


def table_of(path: Path) -> Path:
    return path.with_suffix(".csv")


def put_other_names(path: Path) -> None:
    table_of(path).write_text(table_of(path).read_text().replace(".jpg.chip.jpg", ".jpg"))


def put_nonsense(path: Path) -> None:
    path.write_bytes(b"\x00" * 100)
    table_of(path).write_bytes(b"\xff\x00\xfe")


DAMAGES = {
    "pixels cut short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "table cut short": lambda path: os.truncate(table_of(path), table_of(path).stat().st_size // 2),
    "no table": lambda path: table_of(path).unlink(),
    "other pixels": lambda path: np.save(path, np.zeros((3, 32, 32, 3), np.uint8)),
    "other type": lambda path: np.save(path, np.zeros((10, 32, 32, 3), np.float32)),
    "pickle": lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    "other names": put_other_names,
    "nonsense": put_nonsense,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_cache_is_built_again(faces_folder, cache_dir, damage):
    faces = load_faces(faces_folder, 32)
    sound = contents(cache_dir)
    del faces
    path = next(cache_dir.rglob("*.npy"))
    DAMAGES[damage](path)
    assert contents(cache_dir) != sound
    load_faces(faces_folder, 32)
    assert contents(cache_dir) == sound


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(faces_folder, cache_dir, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pack.os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left.*UTKFACE_CACHE") as caught:
        load_faces(faces_folder, 32)
    assert "\n" not in str(caught.value)
    assert list((cache_dir / "packed").iterdir()) == []


def test_a_cache_folder_that_is_a_file_is_one_clear_error(faces_folder, cache_dir):
    cache_dir.write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        load_faces(faces_folder, 32)


def test_an_error_in_mid_build_leaves_nothing(faces_folder, cache_dir, monkeypatch):
    open_rgb = pack.images.open_rgb
    monkeypatch.setattr(pack, "map_files", lambda function, files, what: map(function, files))
    left = iter([False] * 5 + [True] * 5)

    def interrupted(data):
        if next(left):
            raise KeyboardInterrupt
        return open_rgb(data)

    monkeypatch.setattr(pack.images, "open_rgb", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_faces(faces_folder, 32)
    assert list((cache_dir / "packed").iterdir()) == []


def test_a_file_that_changes_between_hashing_and_decoding_is_noticed(
    faces_folder, cache_dir, monkeypatch
):
    hash_files = pack.hash_files

    def then_change(paths):
        digests = hash_files(paths)
        paths[3].write_bytes(b"another content")
        return digests

    monkeypatch.setattr("utkface.data.faces.hash_files", then_change)
    with pytest.raises(UserError, match="changed since the faces were read"):
        load_faces(faces_folder, 32)
    assert list((cache_dir / "packed").iterdir()) == []


def _load(folder, barrier, results):
    barrier.wait()
    results.put(load_faces(folder, 32).images.sum())


def test_two_processes_that_build_at_once_both_end_well(faces_folder, cache_dir):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (faces_folder, barrier, results)
    processes = [context.Process(target=_load, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    sums = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sums[0] == sums[1] == load_faces(faces_folder, 32).images.sum()
    assert len(list((cache_dir / "packed").iterdir())) == 2
