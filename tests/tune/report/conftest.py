"""A made-up search and its page: curves fall towards a level set by the parameters; two rungs."""

import contextlib
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.report.page import write_report


@dataclass
class MadeUpSearch:
    search: dict[str, Any]
    records: list[TrialRecord]
    study: optuna.Study

    @property
    def record(self) -> SearchRecord:
        return SearchRecord.parse(self.search, "search.json")

    def write(self, path: Path) -> Path:
        return write_report(self.record, self.records, self.study, path)


def make_record(
    number: int, scores: list[float], state: str = "COMPLETE", **fields: Any
) -> TrialRecord:
    """A record from its scores alone; other fields as given."""
    epochs = [
        {
            "epoch": epoch,
            "score": score,
            "smooth_score": 0.9 * score + 0.05,
            "age_mae": 4.731 * score,
            "gender_accuracy": 1 - 0.061 * score,
            "gender_log_loss": 0.2 * score,
            "worst_group_mae": 9 * score,
            "train_loss": score,
            "train_age_loss": score,
            "train_gender_loss": 0.3 * score,
        }
        for epoch, score in enumerate(scores, start=1)
    ]
    values: dict[str, Any] = {
        "params": {},
        "config": {},
        "reason": None,
        "started": f"2026-01-01T10:{number % 60:02d}:00",
        "ended": None if state == "RUNNING" else f"2026-01-01T11:{number % 60:02d}:00",
    }
    last = scores[-1] if scores else None
    return TrialRecord(number=number, state=state, score=last, epochs=epochs, **(values | fields))


def _suggest(trial: optuna.Trial) -> dict[str, Any]:
    params: dict[str, Any] = {
        "max_lr": trial.suggest_float("max_lr", 1e-4, 1e-1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "freeze_epochs": trial.suggest_int("freeze_epochs", 0, 2),
        "oversample_by": trial.suggest_categorical("oversample_by", ["none", "age", "age_race"]),
    }
    if params["oversample_by"] != "none":  # conditional
        params["oversample_balance"] = trial.suggest_float("oversample_balance", 0.0, 1.0)
    return params


def _make_search(search_json: dict[str, Any], num_trials: int, max_epochs: int = 6) -> MadeUpSearch:
    options = {"num_trials": max(1, num_trials), "max_epochs": max_epochs}
    search = {**search_json, "options": {**search_json["options"], **options}}
    rng = np.random.default_rng(num_trials)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    records = []
    for number in range(num_trials):
        trial = study.ask()
        params = _suggest(trial)
        level = 1 + 0.3 * abs(math.log10(params["max_lr"]) + 2) + rng.normal(0, 0.01)
        scores = [level + 2 * math.exp(-epoch) for epoch in range(1, max_epochs + 1)]
        # A third is stopped at each rung; one in twelve fails in its second epoch.
        num_epochs = {1: 1, 2: 3, 5: 1, 8: 1}.get(number % 12, max_epochs)
        state = "COMPLETE" if num_epochs == max_epochs else "PRUNED"
        reason = None
        if number % 12 == 5:
            state, reason = "FAIL", "FloatingPointError: loss is nan in epoch 2"
        value = scores[-1] if state == "COMPLETE" else None
        study.tell(trial, value, optuna.trial.TrialState[state])
        config = {**params, "epochs": max_epochs, "backbone": "mobilenet_v3_small", "huber": None}
        fields = {"params": params, "config": config, "reason": reason}
        records.append(make_record(number, scores[:num_epochs], state, **fields))
    return MadeUpSearch(search, records, study)


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def make_search(search_json: dict[str, Any]) -> Callable[..., MadeUpSearch]:
    return functools.partial(_make_search, search_json)


@pytest.fixture(scope="session")
def drawn(finished_search: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 36 trials with its figures, drawn once for all that only read it."""
    folder = tmp_path_factory.mktemp("search")
    return _make_search(finished_search, 36).write(folder / "report.html")


@pytest.fixture
def record() -> Callable[..., TrialRecord]:
    return make_record


@pytest.fixture
def write(
    tmp_path: Path, read: Callable[[Path], Any], undrawn: Callable[[], Any]
) -> Callable[..., Any]:
    """Write the report of a made-up search and return it, read; with figures only if ``drawn``."""

    def write_and_read(made: MadeUpSearch, *, drawn: bool = False) -> Any:
        with contextlib.nullcontext() if drawn else undrawn():
            path = made.write(tmp_path / "report.html")
        return read(path)

    return write_and_read
