"""The page: complete, self-contained, escaped, and there for every kind of evaluation."""

import base64
import contextlib
import re

import pytest

from utkface.evaluation.records import Estimate, Evaluator, SeedEstimate
from utkface.evaluation.report.page import write_evaluation_report
from utkface.evaluation.report.svg import COLOUR, ROLES

EVERY_FIGURE = {
    "ages", "errors", "bias", "confusion", "calibration", "groups_age", "groups_gender",
    "groups_race", "groups_luminance", "groups_brisque", "groups_laplacian_variance",
    "groups_high_frequency_energy", "groups_colour_variance", "groups_contrast", "groups_entropy",
    "groups_poor_quality", "error_shares", "error_boxes", "error_quantiles", "age_confusion",
    "roc", "precision_recall", "learning",
}  # fmt: skip
#: A picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def plain(make_evaluation, read, tmp_path_factory):
    """An evaluation as it is made, the folder of its pages, and the page with faces."""
    made, folder = make_evaluation(), tmp_path_factory.mktemp("plain")
    made.sheets = {"Largest age errors": folder / "a.png", "Gone": folder / "gone.png"}
    (folder / "a.png").write_bytes(PNG)
    path = write_evaluation_report(made.evaluation, made.predictions, folder, made.sheets)
    return made, folder, read(path)


@pytest.fixture
def write(tmp_path, read, undrawn):
    def write_and_read(made, *, drawn=False):
        with contextlib.nullcontext() if drawn else undrawn():
            path = write_evaluation_report(made.evaluation, made.predictions, tmp_path, made.sheets)
        assert path == tmp_path / "evaluation.html"
        return read(path)

    return write_and_read


def test_every_row_and_figure_is_there(plain):
    made, folder, page = plain
    assert {path.stem for path in (folder / "figures").iterdir()} == EVERY_FIGURE
    assert len(page.values("aria-label")) == len(EVERY_FIGURE)
    labels = [row.label for row in [*made.evaluation.rows, *made.evaluation.baselines]]
    assert all(page.html.count(label) >= labels.count(label) for label in labels)
    mae = made.row().metric("age_mae")
    assert f"{mae.value:.2f} years on average (95 % interval {mae.low:.2f}" in page.words
    for words in (
        "grouped split, 3 seeds", "random split, 3 seeds", "337 of the 700 test faces",
        "better by", "a difference", "SENet50_f", "Gaps", "eyes", "Every metric of every row",
        "Age bins as classes", "are read as female",
        "The hardest faces", "Limits", "tune/retrain_best.py --seeds 3", "90 % interval",
        "settled on validation faces",
    ):  # fmt: skip
        assert words in page.words, words


def test_nothing_is_asked_of_anybody(plain):
    _, _, page = plain
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for reference in page.values("href", "src", "srcset", "action", "data", "poster"):
        is_own = reference[0] == "#" and reference[1:] in ids
        assert is_own or reference.startswith("data:"), reference
    assert not re.search(r"@import|https?://|<script|javascript:|\son\w+=", page.html)


def test_only_one_page_has_faces(plain, read):
    _, folder, page = plain
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert page.values("src") == [uri]
    without = read(folder / "evaluation_without_faces.html")
    assert without.values("src") == []
    assert "Largest age errors" not in without.html
    assert "<image" not in without.html + "".join(
        path.read_text() for path in (folder / "figures").iterdir()
    )


def test_page_and_figures_follow_light_and_dark(plain):
    _, folder, page = plain
    texts = [page.html, *(path.read_text() for path in (folder / "figures").iterdir())]
    for text in texts:
        assert not [role for role, colour in COLOUR.items() if colour in text]
        used = set(re.findall(r"var\(--([a-z0-9]+)\)", text)) - {"c"}
        assert used <= {*ROLES, "panel", "warn"}
        light, dark = text.split("prefers-color-scheme: dark", 1)
        assert all(f"--{role}:" in light and f"--{role}:" in dark for role in used)


def test_texts_from_outside_are_escaped(make_evaluation, write):
    made = make_evaluation()
    evil = "<script>alert('$x$')</script>&"
    for name in ("name", "command", "commit", "search"):
        setattr(made.evaluation, name, evil)
    for row in made.evaluation.rows:
        row.label = evil
        row.subgroups["race"][0].group = evil
        row.gaps["race"]["age_mae"].worst = evil
    made.evaluation.paired[0].a = evil
    made.predictions["label"] = evil
    made.predictions["file"] = evil + made.predictions["file"]
    page = write(made, drawn=True)
    assert "<script" not in page.html
    assert page.words.count("<script>alert") >= 10


def test_demo_faces_are_said_in_every_table(plain, make_evaluation, write, tmp_path):
    assert "demo faces" not in plain[-1].words.lower()
    page = write(make_evaluation(is_demo=True))
    assert "DEMO FACES" in page.words
    assert "as published" not in page.words  # photographs are another matter
    bodies = re.findall(r"<table.*?</table>", page.html, re.DOTALL)
    assert len(bodies) >= 5
    assert [b[:200] for b in bodies if "demo faces" not in b] == []
    assert "DEMO FACES" in (tmp_path / "evaluation_without_faces.html").read_text()


def test_one_seed_without_quality_baselines_and_explanations(make_evaluation, write, tmp_path):
    made = make_evaluation(num_seeds=1, with_quality=False)
    nothing = {"baselines": [], "paired": [], "explanations": None, "leak": {}, "seconds": {}}
    made.evaluation = made.evaluation.model_copy(update={**nothing, "search": None})
    page = write(made)
    assert "one seed, so nothing is known" in page.words
    assert "What it looks at" not in page.words
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert "groups_luminance" not in names
    assert "groups_age" in names


def test_metrics_that_could_not_be_computed(make_evaluation, write):
    made = make_evaluation()
    none = SeedEstimate(per_seed=[None])
    for row in made.evaluation.rows:
        row.overall = dict.fromkeys(row.overall, none)
        row.subgroups["age"][0].age_mae = row.subgroups["age"][0].gender_accuracy = Estimate()
        row.interval = None
    page = write(made, drawn=True)
    assert "nan" not in re.sub(r"\w*nan\w+", "", page.words)


def test_faces_of_one_gender_have_no_curves_over_thresholds(make_evaluation, write, tmp_path):
    made = make_evaluation()
    made.predictions["gender"] = 0
    write(made)
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert names == EVERY_FIGURE - {"roc", "precision_recall"}


def test_validation_faces_are_not_called_test_faces(make_evaluation, write):
    made = make_evaluation()
    made.predictions["part"] = "validation"
    for row in [*made.evaluation.rows, *made.evaluation.baselines, *made.evaluation.paired]:
        row.part = "validation"
    words = write(made).words
    assert "337 of the 700 validation faces of the random split have a copy" in words
    assert "These are validation faces: what is chosen on them" in words
    for wrong in (
        "settled on validation faces", "test faces", "This is the number to believe",
        "learn from all faces but the judged ones",
    ):  # fmt: skip
        assert wrong not in words


def test_who_evaluated_later_is_said(plain, make_evaluation, write):
    made = make_evaluation()
    made.evaluation.evaluated_by = Evaluator(command="tune/retrain_best.py --resume r", commit="f0")
    assert "evaluated by tune/retrain_best.py --resume r (commit f0)" in write(made).words
    assert "evaluated by" not in plain[-1].words


def test_the_same_evaluation_gives_the_same_bytes(plain, make_evaluation, tmp_path):
    first, folder, _ = plain
    again = make_evaluation()
    write_evaluation_report(again.evaluation, again.predictions, tmp_path, first.sheets)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(files) == 2 + len(EVERY_FIGURE)
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / file).read_bytes()
