import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lime.lime_image import LimeImageExplainer
from torch import nn

from utkface.batches import ImageStore
from utkface.config import TrainConfig
from utkface.evaluation import lime
from utkface.evaluation.lime import (
    GRID,
    NUM_SUPERPIXELS,
    REGIONS,
    Explanations,
    _answers,
    draw_shown,
    explain_faces,
    hide_all,
    region_of_pixels,
    region_table,
    superpixels,
)
from utkface.io import UserError
from utkface.model import FaceOutputs, PixelModel, TrainedModel, build_model, predict

CPU = torch.device("cpu")

SIZE = 36  # pixels, 4 to a superpixel
AGE_CELL, GENDER_CELL = 29, 58


class OneCellModel(nn.Module):
    """Ages a face by 30 years for detail in one cell; for detail in another it is no woman."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Identity())

    def heads(self, pixels):
        cells = torch.from_numpy(superpixels(pixels.shape[-1]))
        age, gender = (
            (pixels[:, :, cells == cell].std(dim=(1, 2)) > 0.5).float()
            for cell in (AGE_CELL, GENDER_CELL)
        )
        return FaceOutputs((20 + 30 * age)[:, None], torch.stack([gender, 1 - gender], 1))

    def ages(self, outputs):
        return outputs.age_output[:, 0]

    def gender_probability(self, outputs):
        return 0.1 + 0.8 * outputs.gender_logits[:, 1]


class EverywhereModel(OneCellModel):
    """Sees detail all over the face, more in some places, and not as a linear model would."""

    def heads(self, pixels):
        where = torch.linspace(-1, 1, pixels[0].numel())
        detail = pixels.square().flatten(1)
        sums = torch.stack([detail @ where.sin(), detail @ (7 * where).cos()], 1)
        return FaceOutputs(40 + 20 * (sums[:, :1] / 300).tanh(), sums / 300)


@pytest.fixture
def images():
    return np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def one_cell():
    return TrainedModel(OneCellModel(), TrainConfig())


@pytest.fixture
def everywhere():
    return TrainedModel(EverywhereModel(), TrainConfig())


def test_maps_find_the_cells_that_a_model_looks_at(one_cell, images):
    explained = explain_faces(one_cell, images, num_samples=400)
    cells = superpixels(SIZE)
    for face in range(len(images)):
        age, gender = explained.maps[face]
        # Ridge regression takes a little off the true effects, 30 years and -0.8.
        np.testing.assert_allclose(age[cells == AGE_CELL], 30, rtol=0.05)
        np.testing.assert_allclose(gender[cells == GENDER_CELL], -0.8, rtol=0.05)
        assert np.abs(age[cells != AGE_CELL]).max() < 0.6
        assert np.abs(gender[cells != GENDER_CELL]).max() < 0.02
    assert (explained.r2 > 0.99).all()


def test_the_mirror_image_is_looked_at_where_answers_are_of_both(one_cell, images):
    both = dataclasses.replace(one_cell, about={"flip": True})
    maps = explain_faces(both, images[:1], num_samples=200).maps[0, 0]
    cells, by_cell = superpixels(SIZE), np.zeros(81)
    by_cell[cells.ravel()] = maps.ravel()
    row, column = divmod(AGE_CELL, 9)
    assert set(by_cell.argsort()[-2:]) == {AGE_CELL, 9 * row + 8 - column}


def test_weights_are_those_of_limes_own_explainer(everywhere, images):
    shown = draw_shown(images[0], 150, seed=5)
    respondent = PixelModel(everywhere.model)
    as_they_are = np.ones((1, NUM_SUPERPIXELS), dtype=bool)

    def answers(versions):
        return np.vstack([_answers(respondent, version, as_they_are, CPU) for version in versions])

    lime = LimeImageExplainer(random_state=0)
    lime.random_state = SimpleNamespace(randint=lambda low, high, size: shown.astype(int).ravel())
    expected = lime.explain_instance(
        images[0],
        answers,
        labels=(0, 1),
        top_labels=None,
        num_samples=150,
        segmentation_fn=lambda image: superpixels(SIZE),
        random_seed=0,
    )
    explained = explain_faces(everywhere, images[:1], num_samples=150, seed=5)
    for label, of_head in enumerate(explained.maps[0]):
        weights = np.array([dict(expected.local_exp[label])[i] for i in range(NUM_SUPERPIXELS)])
        np.testing.assert_allclose(of_head, weights[superpixels(SIZE)], rtol=1e-3, atol=1e-5)
        assert np.abs(weights).max() > 0.01
    assert explained.r2[0, 1] == pytest.approx(expected.score, rel=1e-4)


def test_maps_repeat_and_do_not_depend_on_the_other_faces(
    everywhere, images, tmp_path, monkeypatch
):
    together = explain_faces(everywhere, images, num_samples=100)
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path))  # or they would only be read back
    again = explain_faces(everywhere, images, num_samples=100)
    alone = explain_faces(everywhere, images[2:], num_samples=100)
    np.testing.assert_array_equal(together.maps, again.maps)
    np.testing.assert_array_equal(together.maps[2:], alone.maps)
    np.testing.assert_array_equal(together.take(np.array([2])).r2, alone.r2)
    other_seed = explain_faces(everywhere, images, num_samples=100, seed=1)
    assert not np.array_equal(together.maps[:, 0], other_seed.maps[:, 0])


def test_a_model_is_asked_once_about_a_face(everywhere, images, monkeypatch):
    first = explain_faces(everywhere, images, num_samples=100, seed=9)
    monkeypatch.setattr(lime, "PixelModel", None)  # cannot be called
    again = explain_faces(everywhere, images, num_samples=100, seed=9)
    np.testing.assert_array_equal(first.maps, again.maps)
    with pytest.raises(TypeError):
        explain_faces(everywhere, images, num_samples=100, seed=10)


def test_answers_are_those_of_predict_whatever_the_batches(monkeypatch):
    torch.manual_seed(0)
    model = build_model(TrainConfig(), "none")
    image = np.random.default_rng(2).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    shown = draw_shown(image, 6, seed=0)
    monkeypatch.setattr("utkface.evaluation.lime.prediction_batch_size", lambda *_: 4)
    answers = _answers(PixelModel(model), image, shown, CPU)
    mask = shown[:, superpixels(32), None]
    versions = ImageStore(np.where(mask, image, hide_all(image)), torch.device("cpu"))
    expected = predict(model, versions, np.arange(6))
    np.testing.assert_allclose(answers[:, 0], expected.age_years, rtol=1e-4)
    np.testing.assert_allclose(answers[:, 1], expected.gender_probability, rtol=1e-4)


def test_explaining_leaves_the_model_as_it_was_and_takes_read_only_images(images):
    model = build_model(TrainConfig(), "none").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images.flags.writeable = False  # as the rows of a memory map are
    explain_faces(TrainedModel(model, TrainConfig()), images[:1], num_samples=90)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_superpixels_are_a_grid_at_any_size():
    for size in (32, 63, 64, 200):
        cells = superpixels(size)
        assert cells.shape == (size, size)
        counts = np.bincount(cells.ravel(), minlength=NUM_SUPERPIXELS)
        side = size / GRID
        assert np.floor(side) ** 2 <= counts.min() <= counts.max() <= np.ceil(side) ** 2
        assert cells[0, 0] == 0
        assert cells[0, -1] == GRID - 1
        assert cells[-1, -1] == NUM_SUPERPIXELS - 1


def test_too_few_samples_are_refused(one_cell, images):
    with pytest.raises(UserError, match="num_samples=81 is too few"):
        explain_faces(one_cell, images, num_samples=81)


def explanations(age_weights, gender_weights, size=64):
    weights = np.stack([age_weights, gender_weights], axis=1).astype(np.float32)
    return Explanations(weights[:, :, superpixels(size)], np.ones(weights.shape[:2]))


def test_shares_of_all_regions_sum_to_one():
    weights = np.random.default_rng(0).normal(size=(2, 5, NUM_SUPERPIXELS))
    table = region_table(explanations(*weights))
    assert [row.region for row in table] == list(REGIONS)
    for share in ("area_share", "age_share", "gender_share"):
        assert sum(getattr(row, share) for row in table) == pytest.approx(1)
    total_years = sum(row.age_years for row in table)
    assert total_years == pytest.approx(weights[0].sum(axis=1).mean(), rel=1e-4)


def test_weight_in_one_region_is_that_regions_whole_share():
    number = list(REGIONS).index("nose")
    cells, regions = superpixels(64), region_of_pixels(64)
    nose = np.unique(cells[regions == number])
    weights = np.zeros((2, NUM_SUPERPIXELS))
    weights[0, nose], weights[1, nose] = 3.0, -1.0  # years
    rows = {row.region: row for row in region_table(explanations(weights, 0 * weights))}
    assert rows["nose"].age_share == pytest.approx(1)
    assert rows["nose"].age_years == pytest.approx(len(nose) * 1.0)  # the mean of 3 and -1
    assert rows["eyes"].age_share == 0
    assert rows["nose"].gender_share is None  # nothing to share
    assert rows["nose"].age_range == pytest.approx((1, 1))  # it is so on each face
    assert rows["nose"].gender_range is None


def test_cells_count_alike_though_their_pixels_differ():
    equal = np.ones((1, NUM_SUPERPIXELS))
    for row in region_table(explanations(equal, equal, size=32)):
        assert row.age_share == pytest.approx(row.area_share)


def test_regions_are_symmetric_and_lie_where_faces_have_them():
    regions = region_of_pixels(90)
    np.testing.assert_array_equal(regions, regions[:, ::-1])

    def at(x, y):
        return list(REGIONS)[regions[round(y * 90), round(x * 90)]]

    # Measured on the mean of 3,000 real faces.
    assert at(0.5, 0.1) == "forehead and brows"
    assert at(0.29, 0.28) == at(0.71, 0.28) == "eyes"
    assert at(0.5, 0.5) == "nose"
    assert at(0.25, 0.5) == "cheeks"
    assert at(0.5, 0.72) == at(0.5, 0.93) == "mouth and chin"
    assert at(0.03, 0.05) == at(0.97, 0.95) == "hair and background"
