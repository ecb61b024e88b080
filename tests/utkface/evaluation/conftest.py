"""A made-up evaluation: random predictions, judged as real ones are, so nothing drifts."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from utkface.config import TrainConfig
from utkface.evaluation.evaluate import evaluate_model, paired_difference
from utkface.evaluation.photo_measures import PHOTO_MEASURES
from utkface.evaluation.records import BaselineRow, Evaluation, Pair, Row

NUM_FACES = 700
HEADLINE, OTHER, BASELINE = "trial 9", "reference: basic augmentation", "SVC/SVR"

Predicted = tuple[np.ndarray, np.ndarray]


@dataclass
class MadeUp:
    evaluation: Evaluation
    predictions: pd.DataFrame
    sheets: dict[str, Path]

    def row(self, label: str = HEADLINE, protocol: str = "grouped") -> Row:
        return next(
            row for row in self.evaluation.rows
            if (row.label, row.protocol) == (label, protocol)
        )  # fmt: skip


def _make_faces(rng: np.random.Generator, with_quality: bool) -> pd.DataFrame:
    age = np.clip(rng.gamma(2.2, 15, NUM_FACES), 1, 100).astype(int)
    faces = pd.DataFrame(
        {
            "file": [f"{a}_0_0_{i:017d}.jpg.chip.jpg" for i, a in enumerate(age)],
            "group": np.arange(NUM_FACES) // 2,
            "age": age,
            "gender": rng.integers(0, 2, NUM_FACES),
            "race": rng.integers(0, 5, NUM_FACES),
        }
    )
    for name in PHOTO_MEASURES if with_quality else ():
        faces[name] = np.abs(rng.normal(100, 30, NUM_FACES))
    return faces


def _predict(
    rng: np.random.Generator, faces: pd.DataFrame, sigma: float, num_seeds: int
) -> Predicted:
    age = faces["age"].to_numpy()
    years = 33 + 0.9 * (age - 33) + rng.normal(0, sigma + age / 20, (num_seeds, len(age)))
    logit = 5 * (faces["gender"].to_numpy() - 0.5) + rng.normal(0, sigma / 3, years.shape)
    return np.clip(years, 0, 116), 1 / (1 + np.exp(-logit))


def _table(faces: pd.DataFrame, predicted: Predicted, **labels: str) -> pd.DataFrame:
    columns = ["file", "group", "age", "gender", "race"]
    return pd.concat([
        faces[columns].assign(**labels, seed=seed, age_years=years, gender_probability=p)
        for seed, (years, p) in enumerate(zip(*predicted, strict=True))
    ])  # fmt: skip


def _build(num_seeds: int = 3, with_quality: bool = True, is_demo: bool = False) -> MadeUp:
    rng = np.random.default_rng(0)
    rows, baselines, paired, tables = [], [], [], []
    for protocol in ("random", "grouped"):
        faces = _make_faces(rng, with_quality)
        where = {"protocol": protocol, "part": "test"}
        predicted = {
            label: _predict(rng, faces, sigma, seeds)
            for label, sigma, seeds in (
                (HEADLINE, 3.0, num_seeds), (OTHER, 5.0, 1), (BASELINE, 9.0, 1),
            )
        }  # fmt: skip
        for label, (years, probability) in predicted.items():
            interval = (years - 8, years + 9) if label == HEADLINE else None
            judged = dict(
                evaluate_model(faces, years, probability, num_resamples=40, interval=interval)
            )
            if label == BASELINE:
                scores = {name: judged[name] for name in ("num_faces", "num_groups", "overall")}
                baselines.append(BaselineRow(label=label, **where, seconds=12.5, **scores))
                continue
            rows.append(Row(
                label=label, headline=label == HEADLINE, **where,
                seeds=list(range(len(years))), num_train=18964,
                config=TrainConfig().to_dict(), train_seconds=[2000.0] * len(years),
                train_losses=[[2.0, 1.0, 0.5]] * len(years),
                model_files=[], **judged,
            ))  # fmt: skip
            tables.append(_table(faces, predicted[label], label=label, **where))
        difference = paired_difference(
            faces, predicted[HEADLINE], predicted[OTHER], num_resamples=40
        )
        paired.append(Pair(a=HEADLINE, b=OTHER, **where, num_faces=NUM_FACES, **dict(difference)))
    values = {
        "name": "retrain-oversampling-20261123-230000", "created": "2026-11-23T23:00:00",
        "command": "tune/retrain_best.py --seeds 3", "commit": "ec17ad4b0000",
        "seconds": {"training": 7200.0, "prediction": 12.0, "evaluation": 80.0},
        "versions": {"torch": "2.15.0"}, "hardware": {"machine": "x86_64", "cpus": 2.0, "gpus": 0},
        "search": "oversampling-20261123-213552",
        "data": {
            "source": "demo" if is_demo else "faces", "fingerprint": "0e04a6f0",
            "is_demo": is_demo, "num_faces": 23705,
        },
        "image_size": 128, "epochs": 12, "flip": False, "rows": rows, "paired": paired,
        "baselines": baselines, "leak": {"random": 337},
        "explanations": {
            "regions": [
                {
                    "region": "eyes", "area_share": 0.1, "age_share": 0.3, "gender_share": 0.2,
                    "age_years": 1.5, "gender_probability": None,
                }
            ],
            "num_ordinary": 32, "num_samples": 500, "seed": 0, "seconds": 60.0,
            "fidelity": {
                name: {"median": 0.7, "low": 0.5, "high": 0.8} for name in ("age_r2", "gender_r2")
            },
        },
    }  # fmt: skip
    return MadeUp(Evaluation(**values), pd.concat(tables, ignore_index=True), {})


@pytest.fixture(scope="session")
def _cached() -> dict[Any, MadeUp]:
    return {}


@pytest.fixture(scope="session")
def make_evaluation(_cached) -> Callable[..., MadeUp]:
    """Make up an evaluation of two rows and a baseline on both protocols; it may be changed."""

    def make(**options: Any) -> MadeUp:
        key = tuple(sorted(options.items()))
        if key not in _cached:
            _cached[key] = _build(**options)
        return copy.deepcopy(_cached[key])

    return make
