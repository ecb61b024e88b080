"""Weak groups: found where they are planted, and not where there is only noise."""

import numpy as np
import pandas as pd
import pytest

from utkface.evaluation.weakness import find_weak_groups, shrink


def made_up_faces(num_faces, rng):
    return pd.DataFrame(
        {
            "age": rng.integers(0, 100, num_faces),
            "gender": rng.integers(0, 2, num_faces),
            "race": rng.choice(5, num_faces, p=[0.6, 0.2, 0.1, 0.07, 0.03]),
        }
    )


def predictions_of(faces, error_years, share_wrong, rng, num_seeds=2):
    """Return predictions (S, N) with these mean absolute errors and shares of wrong genders."""
    shape = (num_seeds, len(faces))
    age_years = faces["age"].to_numpy() + error_years * rng.laplace(size=shape)
    is_wrong = rng.random(shape) < share_wrong
    return age_years, np.where(is_wrong, 1 - faces["gender"], faces["gender"]).astype(float)


def test_the_formula_worked_out_by_hand():
    """Two groups of 2 and 4 faces; the numbers are those of the module's docstring."""
    error = np.array([9.0, 11.0, 1.0, 3.0, 1.0, 3.0])
    group = np.array([0, 0, 1, 1, 1, 1])
    mean, shrunken, is_weak = shrink(error, group)
    np.testing.assert_allclose(mean, [10, 2])
    m, v_all = 28 / 6, np.var(error)
    s2 = np.array([(2 + 10 * v_all) / 11 / 2, (4 + 10 * v_all) / 13 / 4])
    distance = np.array([10 - m, 2 - m])
    t2 = (2 * (distance[0] ** 2 - s2[0] * 4 / 6) + 4 * (distance[1] ** 2 - s2[1] * 2 / 6)) / 6
    b = t2 / (t2 + s2)
    np.testing.assert_allclose(shrunken, m + b * distance)
    np.testing.assert_array_equal(is_weak, b * distance > 1.96 * np.sqrt(b * s2))


def test_groups_without_any_difference_are_shrunk_to_the_mean():
    mean, shrunken, is_weak = shrink(np.array([1.0, 3.0, 1.0, 3.0]), np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(mean, [2, 2])
    np.testing.assert_array_equal(shrunken, [2, 2])
    assert not is_weak.any()


def test_a_model_without_an_error_has_no_weak_group():
    faces = made_up_faces(50, np.random.default_rng(0))
    perfect = np.stack([faces["age"], faces["age"]]), np.stack([faces["gender"], faces["gender"]])
    assert (find_weak_groups(faces, *map(np.float64, perfect))["weight"] == 1).all()


def test_noise_alone_makes_hardly_a_group_weak():
    """Forty models that are equally good at all of more than 60 groups, many of them tiny."""
    rng = np.random.default_rng(1)
    weights = []
    for _ in range(40):
        faces = made_up_faces(1500, rng)
        weights.append(find_weak_groups(faces, *predictions_of(faces, 5.0, 0.06, rng))["weight"])
    assert max(len(of_model) for of_model in weights) > 60
    assert np.mean([(of_model > 1).sum() for of_model in weights]) < 0.5
    assert max(of_model.max() for of_model in weights) < 1.5
    assert np.mean([of_model.mean() for of_model in weights]) < 1.002


def test_planted_weakness_is_found_and_weighed():
    rng = np.random.default_rng(2)
    faces = made_up_faces(4000, rng)
    is_old = (faces["age"] >= 80).to_numpy()
    is_indian = (faces["race"] == 3).to_numpy()
    errors = np.where(is_old, 12.0, 4.0), np.where(is_indian, 0.4, 0.04)
    table = find_weak_groups(faces, *predictions_of(faces, *errors, rng)).set_index("group")
    weak = table[table["weight"] > 1]
    assert {"80+ male", "80+ female", "all male indian", "all female indian"} <= set(weak.index)
    assert all("80+" in name or "indian" in name for name in weak.index)
    # 80+: 12 years against 5.6 of all; the age is one error of two.
    assert weak.loc["80+ male", "weight"] == pytest.approx((1 + 12 / 5.6) / 2, rel=0.1)
    assert weak.loc["80+ male", "age_mae_is_weak"]
    assert not weak.loc["80+ male", "gender_error_is_weak"]
    assert weak.loc["all female indian", "gender_error_is_weak"]


def test_the_same_error_weighs_less_in_a_smaller_group():
    rng = np.random.default_rng(3)
    group = np.repeat([0, 1, 2, 3], [5, 200, 1000, 1000])
    error = rng.laplace(size=len(group)) + np.where(group < 2, 6.0, 4.0)
    mean, shrunken, _ = shrink(error + np.where(group == 0, 6 - error[:5].mean(), 0), group)
    assert mean[0] == pytest.approx(mean[1], rel=0.05)
    assert shrunken[0] < shrunken[1] < mean[1]
