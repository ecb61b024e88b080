import json

import numpy as np
import pytest

from utkface.evaluation.lime_maps import NUM_SUPERPIXELS, Explanations, superpixels
from utkface.evaluation.regions import REGIONS, mean_map, region_of_pixels, region_table


def explanations(age_weights, gender_weights, size=64):
    cells = superpixels(size)
    maps = [
        np.asarray(weights, dtype=np.float32)[:, cells] for weights in (age_weights, gender_weights)
    ]
    num = len(maps[0])
    return Explanations(*maps, age_r2=np.ones(num), gender_r2=np.ones(num))


def test_shares_of_all_regions_sum_to_one():
    weights = np.random.default_rng(0).normal(size=(2, 5, NUM_SUPERPIXELS))
    table = region_table(explanations(*weights))
    assert [row["region"] for row in table] == list(REGIONS)
    for share in ("area_share", "age_share", "gender_share"):
        assert sum(row[share] for row in table) == pytest.approx(1)
    total_years = sum(row["age_years"] for row in table)
    assert total_years == pytest.approx(weights[0].sum(axis=1).mean(), rel=1e-4)
    json.dumps(table, allow_nan=False)


def test_weight_in_one_region_is_that_regions_whole_share():
    number = list(REGIONS).index("nose")
    cells, regions = superpixels(64), region_of_pixels(64)
    nose = np.unique(cells[regions == number])
    weights = np.zeros((2, NUM_SUPERPIXELS))
    weights[0, nose], weights[1, nose] = 3.0, -1.0  # years
    rows = {row["region"]: row for row in region_table(explanations(weights, 0 * weights))}
    assert rows["nose"]["age_share"] == pytest.approx(1)
    assert rows["nose"]["age_years"] == pytest.approx(len(nose) * 1.0)  # the mean of 3 and -1
    assert rows["eyes"]["age_share"] == 0
    assert rows["nose"]["gender_share"] is None  # nothing to share


def test_cells_count_alike_though_their_pixels_differ():
    equal = np.ones((1, NUM_SUPERPIXELS))
    for row in region_table(explanations(equal, equal, size=32)):
        assert row["age_share"] == pytest.approx(row["area_share"])


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


def test_opposite_effects_cancel_in_the_signed_mean_only():
    maps = np.stack([np.full((4, 4), 2.0), np.full((4, 4), -2.0)])
    signed, absolute = mean_map(maps)
    assert (signed == 0).all()
    assert (absolute == 2).all()
