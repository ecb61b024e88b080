import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from utkface import io
from utkface.data import load_faces
from utkface.data.faces import group_rejected, summary, write_data_tables
from utkface.data.images import decode_face
from utkface.io import UserError


def test_the_table_and_the_pixels_tell_of_the_same_faces(faces_folder):
    faces = load_faces(faces_folder, 32)
    assert list(faces.table.columns) == ["file", "age", "gender", "race", "sha256", "group"]
    assert faces.table["file"].is_monotonic_increasing
    assert faces.images.shape == (10, 32, 32, 3)
    assert not faces.images.flags.writeable
    for row, name in enumerate(faces.table["file"]):
        age, gender, race = map(int, name.split("_")[:3])
        assert tuple(faces.table.loc[row, ["age", "gender", "race"]]) == (age, gender, race)
        expected = decode_face((faces_folder / name).read_bytes(), 32)
        np.testing.assert_array_equal(faces.images[row], expected)
    same = faces.table[faces.table["age"].isin([80, 90])]  # the fixture's two equal files
    assert same["sha256"].nunique() == same["group"].nunique() == 1
    assert faces.table["group"].nunique() == 9
    assert faces.rejected.empty
    assert not faces.is_demo


def test_folder_and_archives_give_equal_faces(faces_folder, tmp_path, monkeypatch):
    names = sorted(path.name for path in faces_folder.iterdir())
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as packed:
        for name in names[::2]:
            packed.write(faces_folder / name, f"UTKFace/{name}")
    with tarfile.open(tmp_path / "two.tar", "w") as packed:
        for name in reversed(names[1::2]):
            packed.add(faces_folder / name, name)
    folder = load_faces(faces_folder, 32)
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path / "another"))
    archives = load_faces([tmp_path / "two.tar", tmp_path / "one.zip"], 32)
    assert folder.path != archives.path
    pd.testing.assert_frame_equal(folder.table, archives.table)
    assert folder.fingerprint == archives.fingerprint
    assert folder.path.read_bytes() == archives.path.read_bytes()


def test_nothing_depends_on_the_order_of_folder_entries_or_on_cores(
    faces_folder, tmp_path, reverse_folders, monkeypatch
):
    monkeypatch.setattr(io, "num_cores", lambda: 1)
    first = load_faces(faces_folder, 32)
    reverse_folders()
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(io, "num_cores", lambda: 3)
    second = load_faces(faces_folder, 32)
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.path.name == second.path.name
    assert first.path.read_bytes() == second.path.read_bytes()


def test_every_refused_file_has_a_reason(faces_folder, make_name, make_picture, encode):
    good = encode(make_picture(20))
    bad = {
        make_name(90): (good[:500], "damaged image"),
        make_name(91): (b"", "not an image"),
        make_name(92): (encode(make_picture(20, side=1)), "too small"),
        make_name(93, race=7): (good, "unknown race"),
        "61_1_20170109142408075.jpg.chip.jpg": (good, "a label is missing"),
        "holiday.jpg": (good, "foreign name"),
    }
    for name, (data, _) in bad.items():
        (faces_folder / name).write_bytes(data)
    for _ in range(2):  # decoded, then from the cache
        faces = load_faces(faces_folder, 32)
        reasons = faces.rejected.set_index("file")["reason"].str.split(":").str[0].to_dict()
        assert reasons == {name: kind for name, (_, kind) in bad.items()}
        assert len(faces.table) == len(faces.images) == 10


def test_a_refused_file_whose_name_is_no_text_is_listed(faces_folder, tmp_path):
    Path(os.fsdecode(os.fsencode(faces_folder) + b"/caf\xe9.jpg")).write_bytes(b"")
    faces = load_faces(faces_folder, 32)
    assert faces.rejected["file"].tolist() == ["caf\N{REPLACEMENT CHARACTER}.jpg"]
    write_data_tables(faces, tmp_path / "tables")
    assert "caf" in (tmp_path / "tables" / "rejected.csv").read_text("utf-8")


def test_two_files_of_one_name_are_told_apart_by_content(faces_folder, tmp_path):
    nested = tmp_path / "kaggle"
    shutil.copytree(faces_folder, nested / "UTKFace")
    shutil.copytree(faces_folder, nested / "deeper/crop_part1")
    first, second, *_ = sorted(path.name for path in faces_folder.iterdir())
    shutil.copy(faces_folder / second, nested / "deeper/crop_part1" / first)
    faces = load_faces(nested, 32)
    assert faces.fingerprint == load_faces(faces_folder, 32).fingerprint
    reasons = dict(faces.rejected.itertuples(index=False, name=None))
    assert len(reasons) == 10
    assert reasons[first] == f"name taken: deeper/crop_part1/{first} differs from UTKFace/{first}"
    assert reasons[second].startswith("copy of the same name: deeper/")


def test_labels_groups_and_fingerprint_do_not_depend_on_the_image_size(faces_folder):
    small, large = load_faces(faces_folder, 32), load_faces(faces_folder, 64)
    pd.testing.assert_frame_equal(small.table, large.table)
    assert small.fingerprint == large.fingerprint


def test_the_fingerprint_is_of_content_and_names(faces_folder, make_picture, encode):
    def fingerprint():
        return load_faces(faces_folder, 32).fingerprint

    before = fingerprint()
    (faces_folder / "holiday.jpg").write_bytes(b"refused, so no part of it")
    assert fingerprint() == before
    name = min(path.name for path in faces_folder.iterdir())
    content = (faces_folder / name).read_bytes()
    (faces_folder / name).write_bytes(encode(make_picture(77)))
    assert fingerprint() != before
    (faces_folder / name).write_bytes(content)
    assert fingerprint() == before
    (faces_folder / name).rename(faces_folder / name.replace("_2017", "_2016"))
    assert fingerprint() != before


@pytest.mark.parametrize("files", [[], ["holiday.jpg"], ["1_0_0_20170101000000000.jpg"]])
def test_a_folder_without_faces_is_refused(files, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=f"no faces in {folder}") as caught:
        load_faces(folder, 32)
    assert "\n" not in str(caught.value)


def test_where_no_image_can_be_used_the_first_reason_is_told(tmp_path, make_name, encode):
    (tmp_path / make_name(1)).write_bytes(b"no image")
    (tmp_path / make_name(2)).write_bytes(encode(Image.new("RGB", (20, 20)), "JPEG"))
    with pytest.raises(UserError, match="none of its 2 images can be used, the first because: not"):
        load_faces(tmp_path, 32)


def test_an_impossible_size_is_refused(faces_folder):
    with pytest.raises(UserError, match="image_size=0 is out of range; allowed"):
        load_faces(faces_folder, 0)


def test_what_is_refused_or_contradicts_itself_is_counted_and_listed(faces_folder, tmp_path):
    (faces_folder / "holiday.jpg").write_bytes(b"")
    faces = load_faces(faces_folder, 32)
    line = write_data_tables(faces, tmp_path / "run/data")
    assert line == summary(faces)
    assert "10 faces, 1 of them copies" in line
    assert "disagree in 1 group" in line
    assert "1 files refused" in line
    assert list(pd.read_csv(tmp_path / "run/data/rejected.csv")["file"]) == ["holiday.jpg"]
    assert sorted(pd.read_csv(tmp_path / "run/data/conflicts.csv")["age"]) == [80, 90]


def test_rejected_files_are_grouped_by_the_kind_of_their_reason():
    files = [("a", "too small: 9x9"), ("b", "damaged image: x"), ("c", "too small: 8x8")]
    rejected = pd.DataFrame(files, columns=["file", "reason"])
    assert group_rejected(rejected) == {"damaged image": files[1:2], "too small": files[::2]}
    assert group_rejected(rejected[:0]) == {}


@pytest.mark.slow
def test_the_published_faces_give_the_known_counts():
    if not os.environ.get("UTKFACE_DATA"):
        pytest.skip("UTKFACE_DATA does not name the real faces")
    source = [Path(name) for name in os.environ["UTKFACE_DATA"].split(os.pathsep)]
    faces = load_faces(source, 64)
    assert faces.images.shape == (23_705, 64, 64, 3)
    assert sorted(faces.rejected["file"]) == [
        "39_1_20170116174525125.jpg.chip.jpg",
        "61_1_20170109142408075.jpg.chip.jpg",
        "61_1_20170109150557335.jpg.chip.jpg",
    ]
    assert faces.table["sha256"].nunique() == 23_315  # 23,318 with the three that are refused
    assert faces.table["gender"].value_counts().to_dict() == {0: 12_391, 1: 11_314}
    counts = faces.table["race"].value_counts(sort=False).sort_index()
    assert list(counts) == [10_078, 4_526, 3_434, 3_975, 1_692]
    assert (faces.table["age"].min(), faces.table["age"].max()) == (1, 116)
