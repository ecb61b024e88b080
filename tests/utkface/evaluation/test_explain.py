import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from utkface.config import TrainConfig
from utkface.evaluation import explain as explain_module
from utkface.evaluation.explain import HARDEST, REGIONS, write_explanations
from utkface.model import TrainedModel, build_model

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


def test_it_repeats_itself(trained, part, tmp_path, monkeypatch):
    told = []
    for name in "ab":
        monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path / name))  # or it would only be read back
        told.append(explain(trained, part, tmp_path / f"faces_{name}", num_hardest=1))
    (first, figures), (second, again) = told
    assert first.regions == second.regions
    for title, path in figures.items():
        assert path.read_bytes() == again[title].read_bytes()


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
