"""A study on disk: opened, and its trials read as plain data.

An epoch's metrics are a user attribute of its trial, whole and with its place in the order of all
reports. Optuna's own intermediate values hold one number each, and none where there are several
objectives, so nothing is read from them.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from tune.records.trials import TrialRecord
from tune.spaces.objectives import DEFAULT_OBJECTIVES, Metrics
from tune.study.journal import TwinJournal, open_storage, read_storage
from tune.study.stopping import VectorCurves

#: The studies of a search's journal, that of its trials and that of the best, trained again;
#: `study_name` puts the run's name before it.
SEARCH_STUDY, CONFIRM_STUDY = "search", "confirm"
OVERRIDES = "overrides"  # user attribute: what an enqueued point sets beyond the space
OWN_POINT = "own_point"  # user attribute of such a trial: whether the space itself has the point
CONFIG = "config"  # user attribute: the whole TrainConfig
REASON = "reason"  # user attribute: why a trial failed

#: User attribute: how a trial diverged: ``reason``, the ``epoch`` it did not finish, `ARRIVAL`.
DIVERGENCE = "diverged"

#: In an epoch's attribute, beside the metrics: its place in the order of all reports.
ARRIVAL = "arrival"
_EPOCH = "epoch_"


def epoch_key(epoch: int) -> str:
    """Return the name of the user attribute that holds an epoch's metrics."""
    return f"{_EPOCH}{epoch:04d}"


def recorded_epochs(trial: FrozenTrial) -> dict[int, Metrics]:
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
        diverged = trial.user_attrs.get(DIVERGENCE)
        if diverged and diverged[ARRIVAL] <= last:
            worst = (math.inf,) * len(metrics)
            curve.update({rung: worst for rung in rungs if rung >= diverged["epoch"]})
    return curves


def study_records(
    study: optuna.Study, ended: Mapping[int, TrialRecord] | None = None
) -> list[TrialRecord]:
    """Return a record of every trial that was handed out, by number.

    ``ended``: those of ended trials, which change no more, as an earlier call returned them.
    """
    return [
        (ended or {}).get(trial.number) or _to_record(trial)
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
    ]


def _to_record(trial: FrozenTrial) -> TrialRecord:
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
        reason=trial.user_attrs.get(REASON) or trial.user_attrs.get(DIVERGENCE, {}).get("reason"),
        started=start.isoformat(timespec="seconds") if start else None,
        ended=end.isoformat(timespec="seconds") if end else None,
    )


def study_name(storage: BaseStorage, kind: str) -> str | None:
    """Return the name of a journal's study of a kind, None where there is none.

    It begins with the name that the run had at first: optuna-dashboard lists studies by name.
    """
    names = (study.study_name for study in storage.get_all_studies())
    return next((name for name in names if name.split(": ")[-1] == kind), None)


def load_study(journal: Path, kind: str = SEARCH_STUDY) -> optuna.Study | None:
    """Read a study of a journal that may be being written; None where it is not on disk yet."""
    storage = read_storage(journal)
    name = study_name(storage, kind)
    return optuna.load_study(study_name=name, storage=storage) if name else None


def open_study(
    journal: TwinJournal | Path,
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES,
    kind: str = SEARCH_STUDY,
) -> optuna.Study:
    """Open the study of a run's journal, or start one; mends what a killed writer left behind.

    ``objectives`` matter to a new study alone. The caller holds the run folder's lock, so nobody
    else is writing.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = TwinJournal(journal) if isinstance(journal, Path) else journal
    storage = open_storage(journal)
    study = optuna.create_study(
        storage=storage,
        study_name=study_name(storage, kind) or f"{journal.path.absolute().parent.name}: {kind}",
        directions=["minimize"] * len(objectives),
        load_if_exists=True,
    )
    # What optuna-dashboard calls them; a study of another search has no place for them.
    if len(study.directions) == len(objectives) and study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(objectives))
    return study
