"""Baselines: what they predict where the answer is known, and that a seed repeats them."""

import numpy as np
import pandas as pd
import pytest
import torch

from utkface.augment import normalise
from utkface.config import TrainConfig
from utkface.evaluation import baselines as module
from utkface.evaluation.baselines import (
    MODELS,
    TRAINED_MODELS,
    backbone_features,
    baseline_predictions,
    frozen_model,
)
from utkface.model import build_model

GUESS, SVM, BOOSTING = MODELS


@pytest.fixture(scope="module")
def problem():
    """Features of which one direction is the age and another the gender, the rest noise."""
    rng = np.random.default_rng(0)
    age = rng.integers(1, 90, 400)
    gender = (rng.random(400) < 0.6).astype(int)
    features = rng.normal(size=(400, 12))
    features[:, 0] += age / 10
    features[:, 1] += 6 * gender
    table = pd.DataFrame({"age": age, "gender": gender})
    rows = rng.permutation(400)
    return features.astype(np.float32), table, rows[:300], rows[300:]


@pytest.fixture(scope="module")
def baselines(problem):
    return {baseline.label: baseline for baseline in baseline_predictions(*problem, seed=1)}


def test_the_guess_is_the_training_faces_median_age_and_share_of_women(problem, baselines):
    _, table, train, test = problem
    guess = baselines[GUESS]
    np.testing.assert_array_equal(guess.age_years, np.median(table["age"].iloc[train]))
    np.testing.assert_allclose(guess.gender_probability, table["gender"].iloc[train].mean())
    assert len(guess.age_years) == len(guess.gender_probability) == len(test)


@pytest.mark.parametrize("label", [SVM, BOOSTING])
def test_a_planted_signal_is_learned(problem, baselines, label):
    _, table, _, test = problem
    age, gender = table["age"].to_numpy()[test], table["gender"].to_numpy()[test]
    error = {name: np.abs(of.age_years - age).mean() for name, of in baselines.items()}
    assert error[label] < 0.75 * error[GUESS]
    probability = baselines[label].gender_probability
    assert ((probability > 0.5) == gender).mean() > 0.95
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability[gender == 1].mean() > 0.85, "a probability, not a mere side of the border"


def test_a_seed_repeats_itself_whatever_the_labels_of_the_other_faces(
    problem, baselines, tmp_path, monkeypatch
):
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path))  # or they would only be read back
    features, table, train, test = problem
    spoiled = table.copy()
    spoiled.loc[test] = 0
    for again in baseline_predictions(features, spoiled, train, test, seed=1):
        first = baselines[again.label]
        np.testing.assert_array_equal(again.age_years, first.age_years)
        np.testing.assert_array_equal(again.gender_probability, first.gender_probability)


class ComputedAgainError(Exception):
    pass


def test_what_was_trained_and_asked_before_is_read_back(problem, baselines, monkeypatch):
    def compute(*_):
        raise ComputedAgainError

    monkeypatch.setattr(module, "_fit", compute)
    again = baseline_predictions(*problem, seed=1)
    assert [baseline.seconds for baseline in again] == [b.seconds for b in baselines.values()]
    features, table, train, test = problem
    with pytest.raises(ComputedAgainError):
        baseline_predictions(features, table, train[:-1], test, seed=1)
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    first = backbone_features(frozen_model("none"), images)
    monkeypatch.setattr(module, "_features", compute)
    np.testing.assert_array_equal(backbone_features(frozen_model("none"), images), first)
    with pytest.raises(ComputedAgainError):
        backbone_features(frozen_model("none"), images[:2])


def test_on_a_trained_networks_features_the_machines_are_the_same(problem, baselines):
    of_trained = baseline_predictions(*problem, models=TRAINED_MODELS, seed=1)
    assert [baseline.label for baseline in of_trained] == list(TRAINED_MODELS)
    for ours, label in zip(of_trained, (SVM, BOOSTING), strict=True):
        np.testing.assert_array_equal(ours.age_years, baselines[label].age_years)


@pytest.mark.parametrize(
    ("num_men", "num_women", "num_baselines"),
    [(150, 0, 0), (150, 1, 0), (5, 5, 0), (9, 2, 3), (2, 9, 3)],
)
def test_too_few_faces_to_tell_genders_apart_have_no_baselines(
    problem, num_men, num_women, num_baselines
):
    features, table, _, test = problem
    men, women = (np.flatnonzero(table["gender"] == gender) for gender in (0, 1))
    train = np.concatenate([men[:num_men], women[:num_women]])
    assert len(baseline_predictions(features, table, train, test)) == num_baselines


def test_features_are_the_backbones_pooled_channels():
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    features = backbone_features(frozen_model("none"), images)
    assert (features.shape, features.dtype) == ((5, 576), np.float32)
    np.testing.assert_array_equal(features, backbone_features(frozen_model("none"), images))
    torch.manual_seed(0)
    model = build_model(TrainConfig(), "none").eval()
    with torch.inference_mode():
        maps = model.features(normalise(torch.from_numpy(images).permute(0, 3, 1, 2)))
    np.testing.assert_allclose(features, maps.mean(dim=(2, 3)), rtol=1e-3, atol=1e-5)
