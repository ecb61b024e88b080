"""The page about the faces: what it says, that photographs stay out of the one to share."""

import re

import numpy as np
import pytest
from PIL import Image

from utkface.data import load_faces
from utkface.data.__main__ import main
from utkface.evaluation import brisque
from utkface.evaluation.faces_report.figures import draw_measure
from utkface.evaluation.faces_report.page import write_faces_report
from utkface.evaluation.photo_measures import PHOTO_MEASURES
from utkface.io import UserError

NUM_FACES = 40


def face_name(number: int, age: int) -> str:
    return f"{age}_{number % 2}_{number % 5}_{20170101000000000 + number}.jpg.chip.jpg"


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """40 faces, one of them grey and one a copy with another age, and two files refused."""
    folder = tmp_path_factory.mktemp("secret") / "faces"
    folder.mkdir()
    for number in range(NUM_FACES):
        picture(number).save(folder / face_name(number, 2 * number + 1), "JPEG")
    picture(50).convert("L").convert("RGB").save(folder / face_name(1, 3), "JPEG")
    (folder / face_name(90, 77)).write_bytes((folder / face_name(7, 15)).read_bytes())
    (folder / "39_1_20170116174525125.jpg.chip.jpg").write_bytes(b"")
    (folder / face_name(91, 20)).write_text("no image")
    return folder


@pytest.fixture(scope="module")
def faces(source):
    return load_faces(source, 64)


@pytest.fixture(scope="module")
def pages(source, faces, tmp_path_factory):
    """The text of the page with photographs and of the one without."""
    folder = tmp_path_factory.mktemp("pages")
    with_them = write_faces_report(faces, source, folder / "local.html")
    without = write_faces_report(faces, source, folder / "share.html", with_photographs=False)
    return with_them, without


def test_only_the_local_page_has_photographs_and_says_to_keep_it(pages):
    with_them, without = (page.read_text() for page in pages)
    assert with_them.count("<img") > NUM_FACES
    assert "Keep it on this machine" in with_them
    assert "<h3>80+ years</h3>" not in with_them, "there is nobody of that age"
    for of_this_machine in ("<img", "data:image", "secret"):  # the last is the faces' folder
        assert of_this_machine not in without


def test_both_say_what_is_in_the_faces_and_what_was_refused_and_ask_nobody_for_anything(pages):
    for page in pages:
        text = re.sub(r"\s+", " ", page.read_text())
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert not re.findall(r'(?:src|href)="http', text)
        assert "41 faces of 1 to 79 years" in text
        assert "They show 40 different photographs" in text
        assert "1 photographs have no colour to speak of" in text
        assert "15_1_2_20170101000000007<br>77_0_0_20170101000000090" in text
        assert "a label is missing: two numbers before the date, not three" in text
        assert "1 file: not an image." in text
        for title in ("Entropy of the greys.", "Sharpness.", "Fine detail.", "BRISQUE."):
            assert title in text
        assert "grouped, validation" in text


def test_equal_faces_give_an_equal_page(pages, source, faces, tmp_path):
    again = write_faces_report(faces, source, tmp_path / "x.html", with_photographs=False)
    assert again.read_text() == pages[1].read_text()


def test_without_its_extra_brisque_is_said_not_to_be_measured(source, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(brisque, "load_regressor", lambda: None)
    page = write_faces_report(faces, source, tmp_path / "x.html", with_photographs=False)
    text = page.read_text()
    assert "BRISQUE is not measured" in text
    assert "Worst score" not in text
    assert "Blurriest" in text


def test_a_handful_of_faces_is_enough(tmp_path, capsys):
    for number in (1, 2):
        picture(number).save(tmp_path / face_name(number, 30), "JPEG")
    page, out = tmp_path / "x.html", tmp_path / "tables"
    main([str(tmp_path), "--report", str(page), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "no split: 2 faces are too few" in printed
    assert f"written to {out}: rejected.csv, conflicts.csv\n" in printed
    assert {path.name for path in out.iterdir()} == {"rejected.csv", "conflicts.csv"}
    text = page.read_text()
    assert "Every photograph is there once." in text
    assert "too few faces for training, validation and test parts" in text


@pytest.mark.parametrize("name", PHOTO_MEASURES)
def test_a_measure_that_is_the_same_of_all_photographs_is_drawn(name):
    measure = PHOTO_MEASURES[name]
    for value in (-50.0, 0.0, 3.0):
        svg = draw_measure(np.full(5, value), measure)
        assert f"Distribution of {measure.title} over 5 photographs" in svg


def test_the_command_writes_the_page_and_says_where(source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main([str(source), "--report", "mine.html", "--no-photographs"])
    assert "written to mine.html" in capsys.readouterr().out
    assert "<img" not in (tmp_path / "mine.html").read_text()
    main([str(source), "--report"])
    assert "<img" in (tmp_path / "data" / "faces.html").read_text(), "git ignores data/"
    main([str(source), "--report", "--no-photographs"])
    assert "<img" not in (tmp_path / "results" / "faces.html").read_text()


def test_arguments_that_cannot_be_meant_are_refused_before_faces_are_read(source):
    with pytest.raises(UserError, match=r"must end in \.html; give faces before --report"):
        main(["--report", str(source)])
    with pytest.raises(UserError, match="give --report too"):
        main([str(source), "--no-photographs"])


def test_a_reader_sees_every_figure_and_all_text(pages, look_at):
    for page in pages:
        seen = look_at(page)
        assert seen.problems == []
        assert all(len(figures) == 11 for figures in seen.figures), seen.figures
