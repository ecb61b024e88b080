import os
import shutil
import sys
import tarfile
import types

import pytest

from utkface.data.images import decode_face
from utkface.data.sources import cache_folder, find_images, find_source, list_images, open_source
from utkface.io import UserError


def pack(folder, archive, names=None):
    with tarfile.open(archive, "w:gz") as packed:
        for path in sorted(folder.iterdir()):
            if names is None or path.name in names:
                packed.add(path, f"UTKFace/{path.name}")
    return archive


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """An empty working folder, and no UTKFACE_DATA."""
    monkeypatch.delenv("UTKFACE_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_without_data_one_line_says_how_to_get_it(no_data):
    with pytest.raises(UserError, match=r"susanqq\.github\.io/UTKFace.*--data demo") as caught:
        find_source()
    assert "\n" not in str(caught.value)


def test_the_environment_comes_before_the_data_folder(no_data, monkeypatch):
    (no_data / "data").mkdir()
    for name in ("b.zip", "a.tar.gz", "notes.txt"):
        (no_data / "data" / name).touch()
    assert [path.name for path in find_source()] == ["a.tar.gz", "b.zip"]
    (no_data / "data/UTKFace").mkdir()
    assert [path.as_posix() for path in find_source()] == ["data/UTKFace"]
    monkeypatch.setenv("UTKFACE_DATA", "/faces")
    assert find_source() == ["/faces"]
    monkeypatch.setenv("UTKFACE_DATA", os.pathsep.join(["/a.tar", "/b.zip"]))
    assert find_source() == ["/a.tar", "/b.zip"]


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.delenv("UTKFACE_CACHE", raising=False)
    assert cache_folder().as_posix() == "/xdg/utkface"
    monkeypatch.setenv("UTKFACE_CACHE", "/elsewhere")
    assert cache_folder().as_posix() == "/elsewhere"


def test_a_folder_of_archives_is_unpacked_once(faces_folder, tmp_path):
    names = sorted(path.name for path in faces_folder.iterdir())
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    pack(faces_folder, downloads / "part1.tar.gz", names[:6])
    pack(faces_folder, downloads / "part2.tar.gz", names[6:])
    first = open_source(downloads)
    found = list_images(first.roots)
    assert sorted(file.path.name for file in found) == names
    written = {file.path: file.path.stat().st_mtime_ns for file in found}
    assert open_source(downloads) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_faces_beside_archives_are_used_as_they_are(faces_folder, cache_dir):
    pack(faces_folder, faces_folder / "all.tar.gz")
    opened = open_source(faces_folder)
    assert opened.roots == [faces_folder]
    assert not cache_dir.exists()


def test_an_archive_that_breaks_off_leaves_nothing_behind(faces_folder, tmp_path, cache_dir):
    archive = pack(faces_folder, tmp_path / "cut.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(UserError, match="is damaged"):
        open_source(archive)
    assert [path for path in cache_dir.rglob("*") if path.name != "unpacked"] == []


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere", "no such data"), ("notes.txt", "is no archive")]
)
def test_other_names_are_refused(name, message, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / name)


def test_hidden_files_links_to_folders_and_pipes_are_left_out(faces_folder, tmp_path):
    expected = list_images([faces_folder])
    some = expected[0].path
    shutil.copy(some, faces_folder / f"._{some.name}")
    (faces_folder / "__MACOSX").mkdir()
    shutil.copy(some, faces_folder / "__MACOSX" / some.name)
    (faces_folder / "loop").symlink_to(faces_folder)
    (faces_folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(faces_folder / "pipe.jpg")
    assert list_images([faces_folder]) == expected


def test_a_prediction_takes_all_that_can_be_decoded_and_a_data_set_what_it_took(
    tmp_path, make_picture
):
    for kind in ("jpg", "JPEG", "jfif", "png", "webp", "bmp", "gif", "tiff"):
        make_picture(0).save(tmp_path / f"face_{kind}.{kind}")
    (tmp_path / "notes.txt").touch()
    found = find_images([tmp_path])
    assert sorted(path.suffix for path in found) == [
        *(".JPEG", ".bmp", ".gif", ".jfif", ".jpg", ".png", ".webp")
    ]
    for path in found:
        decode_face(path.read_bytes(), 32)
    of_data_set = [file.path.suffix for file in list_images([tmp_path])]
    assert sorted(of_data_set) == [".JPEG", ".jpg", ".png"]


def test_the_order_of_folder_entries_does_not_matter(faces_folder, reverse_folders):
    expected = list_images([faces_folder])
    reverse_folders()
    assert list_images([faces_folder]) == expected


def test_kaggle_without_a_network_is_one_clear_line(monkeypatch):
    def fail(dataset):
        assert dataset == "jangedoo/utkface-new"
        raise ConnectionError("Name or service\nnot known")

    module = types.SimpleNamespace(dataset_download=fail)
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    with pytest.raises(UserError, match=r"non-commercial.*susanqq") as caught:
        open_source("kaggle")
    assert "from Kaggle (ConnectionError: Name or service); download" in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # not installed
    with pytest.raises(UserError, match="non-commercial"):
        open_source("kaggle")


def test_kaggle_gives_the_downloaded_folder(monkeypatch, faces_folder):
    module = types.SimpleNamespace(dataset_download=lambda dataset: str(faces_folder))
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    assert open_source(["kaggle"]).roots == [faces_folder]


def test_demo_faces_are_drawn_once_and_marked(monkeypatch, faces_folder):
    from utkface.data import demo

    calls = []

    def draw(folder):
        calls.append(folder)
        shutil.copytree(faces_folder, folder, dirs_exist_ok=True)

    monkeypatch.setattr(demo, "write_demo_faces", draw)
    first, second = open_source("demo"), open_source(["demo"])
    assert first == second
    assert first.is_demo
    assert len(calls) == 1
    assert len(list_images(first.roots)) == 10
