"""How a search's trials stand in its study, and how they are read from it.

An epoch's metrics are a user attribute of its trial, whole and with its place in the order of all
reports. Optuna's own intermediate values hold one number each, and none where there are several
objectives, so nothing is read from them.
"""

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tune.records import TrialRecord
from tune.stopping.rule import VectorCurves

OVERRIDES = "overrides"  # user attribute: what an enqueued point sets beyond the space
OWN_POINT = "own_point"  # user attribute of such a trial: whether the space itself has the point
CONFIG = "config"  # user attribute: the whole TrainConfig
REASON = "reason"  # user attribute: why a trial failed
#: User attribute: how a trial diverged: ``reason``, the ``epoch`` it did not finish, `ARRIVAL`.
DIVERGED = "diverged"
#: In an epoch's attribute, beside the metrics: its place in the order of all reports.
ARRIVAL = "arrival"

_EPOCH = "epoch_"


def epoch_key(epoch: int) -> str:
    """Return the name of the user attribute that holds an epoch's metrics."""
    return f"{_EPOCH}{epoch:04d}"


def recorded_epochs(trial: FrozenTrial) -> dict[int, dict[str, Any]]:
    """Return the epochs on record in order, each with its metrics and `ARRIVAL`."""
    keys = sorted(key for key in trial.user_attrs if key.startswith(_EPOCH))
    return {int(key.removeprefix(_EPOCH)): trial.user_attrs[key] for key in keys}


def curves_until(
    trials: Sequence[FrozenTrial],
    number: int,
    epoch: int,
    metrics: Sequence[str],
    rungs: Sequence[int] = (),
) -> VectorCurves:
    """Return some metrics of all epochs that arrived up to this one of trial ``number``.

    A trial that diverged by then is at each later one of the ``rungs``, infinitely bad.
    """
    last = recorded_epochs(trials[number])[epoch][ARRIVAL]
    curves: dict[int, dict[int, tuple[float, ...]]] = {}
    for trial in trials:
        curve = curves[trial.number] = {
            e: tuple(row[name] for name in metrics)
            for e, row in recorded_epochs(trial).items()
            if row[ARRIVAL] <= last
        }
        diverged = trial.user_attrs.get(DIVERGED)
        if diverged and diverged[ARRIVAL] <= last:
            worst = (math.inf,) * len(metrics)
            curve.update({rung: worst for rung in rungs if rung >= diverged["epoch"]})
    return curves


def study_records(study: optuna.Study) -> list[TrialRecord]:
    """Return a record of every trial that was handed out, by number."""
    trials = study.get_trials(deepcopy=False)
    return [to_record(trial) for trial in trials if trial.state != TrialState.WAITING]


def to_record(trial: FrozenTrial) -> TrialRecord:
    """Read one trial of the study as plain data."""
    epochs = [
        {name: value for name, value in row.items() if name != ARRIVAL}
        for row in recorded_epochs(trial).values()
    ]
    start, end = trial.datetime_start, trial.datetime_complete
    return TrialRecord(
        number=trial.number,
        state=trial.state.name,
        score=epochs[-1].get("score") if epochs else None,
        params=dict(trial.params),
        config=dict(trial.user_attrs.get(CONFIG, {})),
        epochs=epochs,
        is_starting_point=bool(trial.user_attrs.get(OWN_POINT)),
        reason=trial.user_attrs.get(REASON) or trial.user_attrs.get(DIVERGED, {}).get("reason"),
        started=start.isoformat(timespec="seconds") if start else None,
        ended=end.isoformat(timespec="seconds") if end else None,
    )
