import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from utkface.config import TrainConfig
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


def explain(trained, part, folder, **options):
    options = {"num_hardest": 2, "num_ordinary": 3, "num_samples": 90, **options}
    return write_explanations(trained, *part, folder, **options)


def test_sheets_and_numbers_are_written(trained, part, tmp_path):
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
    assert [face.age for face in told.hardest.ages] == [0, 1]
    assert [face.age for face in told.hardest.genders] == [1]
    assert told.hardest.genders[0].gender_probability == pytest.approx(0.2)
    r2 = told.fidelity.age_r2
    assert 0 <= r2.low <= r2.median <= r2.high <= 1  # 0 where an untrained model does not react
    assert sum(row.age_share for row in told.regions) == pytest.approx(1)


def test_a_seed_repeats_it_all(trained, part, tmp_path):
    (first, figures), (second, again) = (
        explain(trained, part, tmp_path / name, seed=3) for name in "ab"
    )
    other, _ = explain(trained, part, tmp_path / "c", seed=4)
    assert first.regions == second.regions
    assert first.regions != other.regions
    for title, path in figures.items():
        assert path.read_bytes() == again[title].read_bytes()


def test_no_sheet_of_wrong_genders_where_none_is_wrong(trained, part, tmp_path):
    told, figures = explain(trained, part, tmp_path, num_ordinary=100)
    assert set(figures) == {HARDEST[0], REGIONS}
    assert told.hardest.genders == []
    assert told.num_ordinary == NUM_FACES  # all that there are


def test_a_full_disk_leaves_no_half_sheet(trained, part, tmp_path, monkeypatch):
    def fail(figure, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(ValueError, match="No space left"):
        explain(trained, part, tmp_path)
    assert list(tmp_path.iterdir()) == []
