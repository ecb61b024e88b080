"""The search's memory: an Optuna study on disk, told everything the moment it happens.

The journal file is the only truth about a search. Each suggestion, each epoch's metrics and each
ending is flushed to it before anything else acts on it; tables, figures and Ray's own state can be
rebuilt from it. After a crash the same study is opened again: finished trials stand, unfinished
ones (RUNNING) are handed out first, and rungs need no restoring (see `tune.asha`).
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages.journal import JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from search_spaces import Space
from tune.asha import ARRIVAL, AshaPruner, epoch_key
from tune.journal import TwinJournal
from tune.records import TrialRecord
from utkface.errors import UserError

_OVERRIDES = "overrides"  # user attribute: what an enqueued point sets beyond the space
_CONFIG = "config"  # user attribute: the whole TrainConfig
_REASON = "reason"  # user attribute: why a trial failed


@dataclass(frozen=True)
class Assignment:
    """A trial to be run: its number, its configuration and how many epochs are on record."""

    number: int
    config: dict[str, Any]
    epochs_done: int


class SearchStudy:
    """One search's study: hands out trials, takes reports, decides on early stopping.

    Parameters: ``path`` of the journal file; ``space`` and the ``fixed`` configuration fields of
    every trial (epochs, image_size, seed); ``sampler`` and ``scheduler`` by name, as on the command
    line. Used by one process at a time (see `tune.run_folder.RunFolder.lock`).
    """

    def __init__(
        self,
        path: Path,
        space: Space,
        fixed: dict[str, Any],
        *,
        sampler: str = "tpe",
        scheduler: str = "asha",
        grace_epochs: int = 1,
        reduction_factor: int = 3,
        num_startup_trials: int = 8,
    ) -> None:
        self.space, self.fixed = space, fixed
        self._sampler_name, self._num_startup_trials = sampler, num_startup_trials
        pruner: BasePruner = NopPruner()
        if scheduler == "asha":
            pruner = AshaPruner(fixed["epochs"], grace_epochs, reduction_factor)
        self.study = open_study(path, pruner)
        self._live: dict[int, Trial] = {}
        self._unfinished = [t.number for t in self._trials(TrialState.RUNNING)]
        self._num_reports = sum(len(t.intermediate_values) for t in self._trials())
        # Points carry the attribute, so that a start cut short in mid-loop adds none twice.
        num_enqueued = sum(_OVERRIDES in trial.user_attrs for trial in self._trials())
        for point in space.points[num_enqueued:]:
            params, overrides = space.split_point(point)
            self.study.enqueue_trial(params, {_OVERRIDES: overrides})

    def next_trial(self) -> Assignment:
        """Hand out an unfinished trial, else the next point to try first, else a new suggestion."""
        while True:
            self.study.sampler = self._make_sampler()
            if self._unfinished:
                frozen = self.study.trials[self._unfinished.pop(0)]
                trial = Trial(self.study, frozen._trial_id)
            else:
                trial = self.study.ask()
            self._live[trial.number] = trial
            try:
                config = self.space.config(trial, self.fixed, trial.user_attrs.get(_OVERRIDES))
            except UserError as error:  # a combination that the space's own check did not meet
                self.fail(trial.number, str(error))
                continue
            trial.set_user_attr(_CONFIG, config.to_dict())
            epochs_done = len(self._frozen(trial.number).intermediate_values)
            return Assignment(trial.number, config.to_dict(), epochs_done)

    def report(self, number: int, metrics: dict[str, Any]) -> TrialState:
        """Record an epoch and say how the trial stands: RUNNING (go on), PRUNED, COMPLETE or FAIL.

        An epoch that is on record already (a trial restored from its checkpoint reports its last
        one again) is judged again but not recorded twice.
        """
        trial, epoch, score = self._live[number], metrics["epoch"], metrics["score"]
        if not math.isfinite(score):
            return self.fail(number, f"score is {score} after epoch {epoch}")
        if epoch not in self._frozen(number).intermediate_values:
            record = {**metrics, ARRIVAL: self._num_reports}
            trial.set_user_attr(epoch_key(epoch), record)
            trial.report(score, epoch)
            self._num_reports += 1
        if epoch >= self.fixed["epochs"]:
            self.study.tell(number, score)
            state = TrialState.COMPLETE
        elif trial.should_prune():
            self.study.tell(number, state=TrialState.PRUNED)
            state = TrialState.PRUNED
        else:
            return TrialState.RUNNING
        del self._live[number]
        return state

    def fail(self, number: int, reason: str) -> TrialState:
        """Record that a trial failed, and why."""
        self._live.pop(number).set_user_attr(_REASON, reason)
        self.study.tell(number, state=TrialState.FAIL)
        return TrialState.FAIL

    def num_started(self) -> int:
        """Return how many trials have been handed out, finished or not, in all sessions."""
        return len(self._trials()) - len(self._trials(TrialState.WAITING))

    def num_unfinished(self) -> int:
        """Return how many trials of an earlier session wait to go on."""
        return len(self._unfinished)

    def records(self) -> list[TrialRecord]:
        """Return all trials that were ever handed out, by number."""
        return study_records(self.study)

    def _make_sampler(self) -> BaseSampler:
        # A fresh sampler per suggestion, seeded by the search's seed and the number of trials:
        # what is suggested depends on the study alone, not on how often the driver was restarted.
        seed = (self.fixed["seed"] * 1_000_003 + len(self.study.get_trials(deepcopy=False))) % 2**31
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self._sampler_name == "random":
                return RandomSampler(seed=seed)
            if self._sampler_name == "gp":
                return GPSampler(seed=seed, n_startup_trials=self._num_startup_trials)
            return TPESampler(
                seed=seed,
                n_startup_trials=self._num_startup_trials,
                multivariate=True,
                group=True,  # conditional parameters are modelled with those they appear with
                constant_liar=True,  # trials that run at once keep away from each other
            )

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)


def open_study(path: Path, pruner: BasePruner | None = None) -> optuna.Study:
    """Open the study of a journal file, or start one; mends what a killed writer left behind.

    The caller holds the run folder's lock, so nobody else is writing.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(TwinJournal(path))
    return optuna.create_study(
        storage=storage, study_name="search", direction="minimize", pruner=pruner,
        load_if_exists=True,
    )  # fmt: skip


def study_records(study: optuna.Study) -> list[TrialRecord]:
    """Return a record of every trial that was handed out, by number."""
    trials = study.get_trials(deepcopy=False)
    return [to_record(trial) for trial in trials if trial.state != TrialState.WAITING]


def to_record(trial: FrozenTrial) -> TrialRecord:
    """Read one trial of the study as plain data."""
    epochs = sorted(trial.intermediate_values)
    start, end = trial.datetime_start, trial.datetime_complete
    return TrialRecord(
        number=trial.number,
        state=trial.state.name,
        score=trial.intermediate_values[epochs[-1]] if epochs else None,
        params=dict(trial.params),
        config=dict(trial.user_attrs.get(_CONFIG, {})),
        epochs=[_metrics(trial, epoch) for epoch in epochs],
        reason=trial.user_attrs.get(_REASON),
        started=start.isoformat(timespec="seconds") if start else None,
        ended=end.isoformat(timespec="seconds") if end else None,
    )


def _metrics(trial: FrozenTrial, epoch: int) -> dict[str, Any]:
    """Return an epoch's metrics as they were reported."""
    recorded = trial.user_attrs[epoch_key(epoch)]
    return {name: value for name, value in recorded.items() if name != ARRIVAL}
