import io
import random
import stat
import tarfile
import zipfile

import pytest

from utkface.data import archives
from utkface.data.archives import unpack
from utkface.io import UserError


def make_archive(path, members):
    """members: (name, content) pairs; a name may be a ready TarInfo or ZipInfo."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in members:
                packed.writestr(name, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as packed:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def flip(path, start, num_bytes):
    data = bytearray(path.read_bytes())
    data[start : start + num_bytes] = bytes(b ^ 0xFF for b in data[start : start + num_bytes])
    path.write_bytes(data)


def written(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.fixture(params=["a.tar.gz", "a.tgz", "a.tar", "a.zip"])
def archive_name(request):
    return request.param


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_images_are_unpacked_and_nothing_else(tmp_path, target, archive_name):
    members = [
        ("UTKFace/1.jpg", b"one"),
        ("UTKFace/deeper/2.PNG", b"two"),
        ("README.txt", b"no image"),
        ("__MACOSX/._1.jpg", b"a Mac's"),
        ("run.sh", b"#!/bin/sh"),
    ]
    unpack(make_archive(tmp_path / archive_name, members), target)
    assert written(target) == ["UTKFace/1.jpg", "UTKFace/deeper/2.PNG"]
    assert (target / "UTKFace/deeper/2.PNG").read_bytes() == b"two"


@pytest.mark.parametrize(
    "path",
    ["../out.jpg", "a/../../out.jpg", "/tmp/out.jpg", "..\\out.jpg", "C:\\out.jpg", "../notes.txt"],
)
def test_paths_outside_the_folder_are_refused(tmp_path, target, archive_name, path):
    archive = make_archive(tmp_path / archive_name, [(path, b"x")])
    before = written(tmp_path)
    with pytest.raises(UserError, match="outside its own folder"):
        unpack(archive, target)
    assert written(tmp_path) == before


@pytest.mark.parametrize(
    "member",
    [
        special("face.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        special("folder", tarfile.SYMTYPE, "/tmp"),
        special("face.jpg", tarfile.LNKTYPE, "/etc/passwd"),
        special("face.jpg", tarfile.CHRTYPE),
        special("face.jpg", tarfile.BLKTYPE),
        special("face.jpg", tarfile.FIFOTYPE),
    ],
    ids=["symlink", "folder-symlink", "hardlink", "character-device", "block-device", "pipe"],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, target, member):
    archive = make_archive(tmp_path / "a.tar.gz", [(member, b""), ("folder/face.jpg", b"x")])
    with pytest.raises(UserError, match="is a link or a device"):
        unpack(archive, target)
    assert written(target) == []


def test_links_in_a_zip_are_refused(tmp_path, target):
    info = zipfile.ZipInfo("face.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="is a link or a device"):
        unpack(make_archive(tmp_path / "a.zip", [(info, "/etc/passwd")]), target)
    assert written(target) == []


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_MEMBERS", 3, "unpacks to more"),
        ("MAX_TOTAL_BYTES", 3 * 2**20, "unpacks to more"),
        ("MAX_MEMBER_BYTES", 2**20, r"0\.jpg is larger"),
    ],
)
def test_bombs_are_refused(tmp_path, target, archive_name, limit, value, message, monkeypatch):
    monkeypatch.setattr(archives, limit, value)
    members = [(f"{number}.jpg", bytes(2**20 + 1)) for number in range(5)]
    archive = make_archive(tmp_path / archive_name, members)
    with pytest.raises(UserError, match=message):
        unpack(archive, target)


def test_a_gigantic_tar_header_is_refused(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 2**20)
    members = [(special("ignored", tarfile.XHDTYPE), bytes(2**21))]
    with pytest.raises(UserError, match="header of more than"):
        unpack(make_archive(tmp_path / "a.tar.gz", members), target)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_archives_cut_short_are_one_clear_error(tmp_path, target, archive_name, share):
    members = [(f"{number}.jpg", bytes(range(256)) * 20) for number in range(20)]
    archive = make_archive(tmp_path / archive_name, members)
    # A tar is padded with zeros at its end, which may be cut off without loss.
    size = archive.stat().st_size - (20 * 512 if archive.suffix == ".tar" else 0)
    archive.write_bytes(archive.read_bytes()[: int(share * size)])
    with pytest.raises(UserError, match=r"is damaged: .+; get a new copy$") as caught:
        unpack(archive, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("position", [0.25, 0.5, 0.75])
def test_flipped_bytes_are_noticed(tmp_path, target, position):
    generator = random.Random(0)
    members = [(f"{number}.jpg", generator.randbytes(5000)) for number in range(20)]
    archive = make_archive(tmp_path / "a.tar.gz", members)
    flip(archive, int(position * archive.stat().st_size), 8)
    with pytest.raises(UserError, match="is damaged"):
        unpack(archive, target)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_flipped_bytes_of_rarer_methods_are_noticed(tmp_path, target, method):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", method) as packed:
        packed.writestr("1.jpg", random.Random(0).randbytes(50_000))
    flip(archive, 60, 30)
    with pytest.raises(UserError, match=r"is damaged: .+; get a new copy$"):
        unpack(archive, target)


def test_a_damaged_header_in_mid_tar_is_not_taken_for_the_end(tmp_path, target):
    archive = make_archive(tmp_path / "a.tar", [("1.jpg", b"x" * 512), ("2.jpg", b"y")])
    flip(archive, 1024, 10)  # within the second file's header
    with pytest.raises(UserError, match="damaged header"):
        unpack(archive, target)


def test_what_only_bears_the_name_of_an_archive_is_damaged(tmp_path, target, archive_name):
    archive = tmp_path / archive_name
    archive.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(UserError, match="is damaged"):
        unpack(archive, target)
