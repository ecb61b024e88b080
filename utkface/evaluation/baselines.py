"""What a table of models has to beat: no model at all, and scikit-learn on a network's features.

The features are a backbone's pooled channels: of an ImageNet MobileNetV3-Small that never saw a
face, and of the trained network itself, whose heads they tell from its features. SVM and boosted
trees on features are the simple baselines of Sheoran et al. (arXiv 2110.12633), whose features came
from networks for faces. The trees are scikit-learn's, the same algorithm as XGBoost's histograms.
"""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from utkface.augment import normalise
from utkface.backbones import fused
from utkface.batches import ImageStore, map_on_cores
from utkface.config import TrainConfig
from utkface.evaluation.cache import Arrays, cached, content_digest
from utkface.io import progress_bar
from utkface.model import FaceModel, build_model, prediction_batch_size
from utkface.predictor import find_device

Features = NDArray[np.float32]
Models = tuple[RegressorMixin, ClassifierMixin]

#: Kept of the features' variance: 189 of 576 components at 64 px. An SVM's time goes with them.
SHARE_OF_VARIANCE = 0.9
_MIN_FACES = 11  # the tenth of them that an SVC does not see is then a face of each gender

_CODE = inspect.getsource(sys.modules[__name__])  # a change of it makes the cache another one


class Baseline(NamedTuple):
    """What one baseline predicts for N faces."""

    label: str
    age_years: NDArray[np.float64]  # (N,)
    gender_probability: NDArray[np.float64]  # (N,) of being female
    seconds: float  # of training and prediction, without the features


def frozen_model(
    weights: str | Path = "imagenet", backbone: str = "mobilenet_v3_small"
) -> FaceModel:
    """Return a network that was not trained on faces; ``weights`` are as of `build_model`."""
    with torch.random.fork_rng(devices=[]):  # with weights="none" they are drawn
        torch.manual_seed(0)
        return build_model(TrainConfig(backbone=backbone), weights).eval()


def backbone_features(model: FaceModel, images: np.ndarray) -> Features:
    """Return the pooled features (N, C) of a network's backbone, left in evaluation mode.

    images: (N, S, S, 3) uint8. On a GPU if there is one. Kept in the cache: the same images and
    weights are not asked about twice.
    """
    device = find_device("auto")
    parts = [tensor.cpu().numpy() for tensor in model.features.state_dict().values()]
    key = content_digest(_CODE, torch.__version__, str(device), images, *parts)
    return cached("features", key, lambda: _features(model.eval(), images, device))["features"]


def _features(model: FaceModel, images: np.ndarray, device: torch.device) -> Arrays:
    backbone = fused(model.features).to(device)
    store = ImageStore(images, device)
    size = prediction_batch_size(images.shape[1], device)

    @torch.inference_mode()
    def features_from(start: int) -> Features:
        rows = np.arange(start, min(start + size, len(images)))
        pooled: Features = backbone(normalise(store.gather(rows))).mean(dim=(2, 3)).cpu().numpy()
        return pooled

    parts = []
    with progress_bar("Features of a backbone", len(images)) as advance:
        for part in map_on_cores(features_from, range(0, len(images), size), device):
            parts.append(part)
            advance(len(part))
    return {"features": np.concatenate(parts)}


def baseline_predictions(
    features: Features,
    table: pd.DataFrame,
    train_rows: NDArray[np.integer],
    test_rows: NDArray[np.integer],
    *,
    models: Mapping[str, Callable[[int], Models]] | None = None,
    seed: int = 0,
) -> list[Baseline]:
    """Train each baseline on some faces and predict others; the same for the same seed.

    features: (faces, C), row i being row i of ``table`` (age, gender are read); models: by default
    `MODELS`. Predictions are in the order of ``test_rows``. All training faces are used, none is
    drawn twice. There are no baselines where these are too few to learn genders from. Kept in the
    cache, with the seconds that it took: what did not change is not trained again.
    """
    gender = table["gender"].to_numpy(np.int64)[train_rows]
    if len(gender) < _MIN_FACES or np.bincount(gender, minlength=2).min() < 2:
        return []
    train, test = features[train_rows], features[test_rows]
    age = table["age"].to_numpy(np.float64)[train_rows]
    key = content_digest(_CODE, sklearn.__version__, str(seed), train, test, age, gender)
    baselines = []
    models = MODELS if models is None else models
    with progress_bar("Baselines", 2 * len(models)) as advance:
        for label, build in models.items():
            fit = functools.partial(_fit, build(seed), train, test, age, gender, advance)
            found = cached(f"baseline{build.__name__.replace('_', '-')}", key, fit)
            ages, genders = found["age_years"], found["gender_probability"]
            baselines.append(Baseline(label, ages, genders, float(found["seconds"])))
    return baselines


def _fit(
    models: Models,
    train: Features,
    test: Features,
    age: NDArray[np.float64],
    gender: NDArray[np.int64],
    advance: Callable[[int], None],
) -> Arrays:
    """Fit a baseline on training features and labels; return what it predicts of the others."""
    # It comes with scikit-learn, which needs it.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    age_model, gender_model = models
    start = time.perf_counter()
    # Boosting splits its work evenly among threads and waits for the slowest: on cores that others
    # use too, two threads took 17 times as long as one.
    with threadpool_limits(1, user_api="openmp"):
        age_years = age_model.fit(train, age).predict(test)
        advance(1)
        probability = gender_model.fit(train, gender).predict_proba(test)[:, 1]
        advance(1)
    seconds = np.array(time.perf_counter() - start)
    return {"age_years": age_years, "gender_probability": probability, "seconds": seconds}


def _guesses(seed: int) -> Models:
    """Return what does not look at the face: the median age, the share of women."""
    return DummyRegressor(strategy="median"), DummyClassifier(strategy="prior")


def _svm(seed: int) -> Models:
    """Return RBF support vector machines.

    An SVC has no probabilities. A logistic curve on its decision function, fitted on a tenth of the
    training faces that the SVC does not see, gives them at the price of one fit (Platt 1999).
    """
    svr, svc = (
        make_pipeline(StandardScaler(), PCA(SHARE_OF_VARIANCE, svd_solver="full"), machine)
        for machine in (SVR(C=30.0, epsilon=1.0), SVC(C=3.0))
    )
    held_out = StratifiedShuffleSplit(n_splits=1, test_size=0.1, random_state=seed)
    return svr, CalibratedClassifierCV(svc, cv=held_out)


def _boosting(seed: int) -> Models:
    """Return boosted trees of default size, with a tenth of the features for each split.

    Above 10,000 faces scikit-learn stops them early, by a tenth of the training faces.
    """
    options = {"max_iter": 300, "max_features": 0.1, "random_state": seed}
    return (
        HistGradientBoostingRegressor(loss="absolute_error", **options),
        HistGradientBoostingClassifier(**options),
    )


#: By label: from a seed to a regressor of age and a classifier of gender, not yet fitted.
MODELS: dict[str, Callable[[int], Models]] = {
    "median age, most frequent gender": _guesses,
    "SVC/SVR on frozen features": _svm,
    "gradient boosting on frozen features": _boosting,
}
#: The same on the features of a network that was trained on the faces.
TRAINED_MODELS = {
    "SVC/SVR on trained features": _svm,
    "gradient boosting on trained features": _boosting,
}
