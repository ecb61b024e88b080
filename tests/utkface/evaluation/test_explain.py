"""What models look at: sheets and numbers of one model, and the faces that two differ on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from utkface.config import TrainConfig
from utkface.data import load_faces
from utkface.evaluation import explain as explain_module
from utkface.evaluation.explain import (
    HARDEST,
    REGIONS,
    describe_sides,
    draw_sides,
    find_one_sided,
    write_explanations,
)
from utkface.evaluation.predictions import StoredPredictions
from utkface.io import UserError
from utkface.model import TrainedModel, build_model, save_model

NUM_FACES = 5


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    config = TrainConfig(image_size=32)
    return TrainedModel(build_model(config, "none").eval(), config)


@pytest.fixture
def part():
    """Return five faces, their table and two seeds' predictions, all genders right."""
    rng = np.random.default_rng(0)
    faces = pd.DataFrame(
        {
            "file": [f"{age}_1_0_2017.jpg.chip.jpg" for age in range(NUM_FACES)],
            "age": range(NUM_FACES),
            "gender": 1,
            "group": range(NUM_FACES),
        }
    )
    return (
        rng.integers(0, 256, (NUM_FACES, 32, 32, 3), dtype=np.uint8),
        faces.set_index(np.arange(NUM_FACES) * 10),  # rows of a part keep the whole table's index
        np.full((2, NUM_FACES), 40.0),
        np.full((2, NUM_FACES), 0.9),
    )


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn of which faces, by the sheet's title."""
    drawn = {}
    draw_faces = explain_module.draw_faces

    def noting(path, title, subtitle, images, faces, explanations):
        drawn[title] = (images, faces)
        draw_faces(path, title, subtitle, images, faces, explanations)

    monkeypatch.setattr(explain_module, "draw_faces", noting)
    return drawn


def explain(trained, part, folder, num_hardest=2):
    images, *rest = part
    rows = np.arange(NUM_FACES)[::-1]  # of the images, in another order than the faces
    return write_explanations(
        trained, images[::-1], rows, *rest, folder, num_hardest=num_hardest, num_samples=90
    )


def test_sheets_and_numbers_are_written(trained, part, drawn, tmp_path):
    images, faces, age_years, probability = part
    probability[:, 1] = 0.2
    told, figures = explain(trained, (images, faces, age_years, probability), tmp_path / "faces")
    assert set(figures) == {*HARDEST, REGIONS}
    for path in figures.values():
        with Image.open(path) as sheet:
            sheet.load()  # whole
            assert sheet.format == "PNG"
            assert min(sheet.size) > 300
    assert len(list((tmp_path / "faces").iterdir())) == 3  # no temporary file is left
    (of_ages, ages), (of_genders, genders) = (drawn[title] for title in HARDEST)
    assert [face.age for face in ages] == [0, 1]
    np.testing.assert_array_equal(of_ages, images[:2])
    assert [(face.age, face.gender_probability) for face in genders] == [(1, pytest.approx(0.2))]
    np.testing.assert_array_equal(of_genders, images[1:2])
    r2 = told.fidelity.age_r2
    assert 0 <= r2.low <= r2.median <= r2.high <= 1  # 0 where an untrained model does not react
    assert sum(row.age_share for row in told.regions) == pytest.approx(1)


def test_no_sheet_of_wrong_genders_where_none_is_wrong(trained, part, tmp_path):
    told, figures = explain(trained, part, tmp_path)
    assert set(figures) == {HARDEST[0], REGIONS}
    assert told.num_ordinary == NUM_FACES  # all that there are, not four times two


def test_only_what_is_explained_is_read_of_the_images(trained, part, tmp_path):
    images, faces, *predicted = part
    many = pd.concat([faces] * 4, ignore_index=True).assign(group=range(4 * NUM_FACES))
    rows = np.arange(len(many)) + 100
    asked = []

    class Watched:
        def __getitem__(self, wanted):
            asked.extend(wanted.tolist())
            return images[wanted % NUM_FACES]

    told, _ = write_explanations(
        trained, Watched(), rows, many, *(np.tile(values, 4) for values in predicted), tmp_path,
        num_hardest=1, num_samples=90,
    )  # fmt: skip
    assert told.num_ordinary == 4
    assert len(asked) in (4, 5)  # with the one that is hardest
    assert set(asked) < set(rows.tolist())


def test_a_full_disk_leaves_no_half_sheet(trained, part, tmp_path, monkeypatch):
    def fail(figure, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(ValueError, match="No space left"):
        explain(trained, part, tmp_path)
    assert list(tmp_path.iterdir()) == []


def stored(
    faces: pd.DataFrame, years, probability, folder: Path = Path(), label: str = "m"
) -> StoredPredictions:
    predicted = np.array([years], float), np.array([probability], float)
    return StoredPredictions(folder, label, "grouped", "test", faces, *predicted)


def test_each_side_has_the_faces_that_it_alone_gets_right_clearest_first() -> None:
    faces = pd.DataFrame({"age": [30] * 4, "gender": [0, 0, 1, 1]})
    a = stored(faces, [30, 36, 50, 20], [0.4, 0.1, 0.6, 0.2])
    b = stored(faces, [36, 30, 30, 24], [0.6, 0.9, 0.7, 0.6])
    first, second = find_one_sided(a, b), find_one_sided(b, a)
    assert first.genders.tolist() == [1, 0]  # both are men, surer of the second
    assert second.genders.tolist() == [3]
    assert first.ages.tolist() == [0]
    assert second.ages.tolist() == [2, 1]  # the last is closer by four years alone
    assert describe_sides(first, second) == [
        "genders that one alone has right: the first 2, the second 1",
        "ages that one reads at least 5 years closer: the first 1, the second 2",
    ]


def test_both_models_are_drawn_on_the_same_faces(tmp_path, make_evaluation, monkeypatch) -> None:
    """Each by its own file: here they are two rows of one run, whose model.pt is neither's."""
    monkeypatch.setattr(explain_module, "_NUM_SAMPLES", 90)
    config = TrainConfig(image_size=32, pretrained=False)
    faces = load_faces("demo", 32).table.head(6).reset_index(drop=True)
    evaluation, models = make_evaluation().evaluation, []
    rows = [row for row in evaluation.rows if row.protocol == "grouped"]
    for row, off in zip(rows, (0, 20), strict=True):
        row.model_files = [f"models/{off}.pt"]
        path = tmp_path / row.model_files[0]
        save_model(path, TrainedModel(build_model(config).eval(), config))
        models.append(stored(faces, faces["age"] + off, faces["gender"], tmp_path, row.label))
    (tmp_path / "evaluation.json").write_text(evaluation.to_text())
    sides = find_one_sided(*models), find_one_sided(*models[::-1])
    paths = draw_sides(models, sides, tmp_path / "sheets", "demo", num_faces=1)
    assert [path.name for path in paths] == [
        "ages_that_the_first_model_gets_better_read_by_the_first.png",
        "ages_that_the_first_model_gets_better_read_by_the_second.png",
    ]  # fmt: skip
    assert all(path.stat().st_size > 10_000 for path in paths)
    strangers = stored(
        faces.assign(file="x.jpg"), faces["age"], faces["gender"], tmp_path, rows[0].label
    )
    with pytest.raises(UserError, match="6 of 6 faces of"):
        draw_sides([strangers] * 2, sides, tmp_path / "other", "demo")
    unknown = stored(faces, faces["age"], faces["gender"], tmp_path, "gone")
    with pytest.raises(UserError, match="names no model of 'gone' on the grouped split"):
        draw_sides([unknown] * 2, sides, tmp_path / "other", "demo")
