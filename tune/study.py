"""The search's memory: an Optuna study on disk, told everything the moment it happens.

The journal file is the only truth about a search. Each suggestion, each epoch's metrics and each
ending is flushed to it before anything else acts on it; tables, figures and Ray's own state can be
rebuilt from it. After a crash the same study is opened again: finished trials stand, unfinished
ones (RUNNING) are handed out first, and rungs need no restoring (see `tune.stopping`).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages.journal import JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from search_spaces import Space
from tune.informed_sampler import InformedSampler
from tune.journal import TwinJournal
from tune.records import TrialRecord, judged_metric
from tune.samplers import make_sampler
from tune.stopping import make_rule
from tune.study_trials import (
    ARRIVAL,
    CONFIG,
    OVERRIDES,
    REASON,
    curves_until,
    epoch_key,
    recorded_epochs,
    study_records,
)
from utkface.io import UserError

#: The one study of a journal.
STUDY_NAME = "search"


@dataclass(frozen=True)
class Assignment:
    """A trial to be run: its number, its configuration and how many epochs are on record."""

    number: int
    config: dict[str, Any]
    epochs_done: int


class SearchStudy:
    """One search's study: hands out trials, takes reports, decides on early stopping.

    Parameters: ``path`` of the journal file; ``space`` and the ``fixed`` configuration fields of
    every trial (epochs, image_size, seed); ``objectives``, the metrics to minimise; ``sampler`` and
    ``scheduler`` by name, as on the command line; ``first_points`` to try before the space's own
    and ``known`` trials of earlier searches, which the sampler alone learns from (see
    `tune.warm_start`).

    Early stopping judges by the objective, by `score` where there are several. Used by one process
    at a time (see `tune.run_folder.RunFolder.lock`).
    """

    def __init__(
        self,
        path: Path,
        space: Space,
        fixed: dict[str, Any],
        *,
        objectives: tuple[str, ...] = ("score",),
        sampler: str = "tpe",
        scheduler: str = "asha",
        grace_epochs: int = 1,
        reduction_factor: int = 3,
        num_startup_trials: int = 8,
        first_points: Sequence[dict[str, Any]] = (),
        known: Sequence[FrozenTrial] = (),
    ) -> None:
        self.space, self.fixed, self.objectives = space, fixed, objectives
        self._judged_metric = judged_metric(objectives)
        self._sampler_name, self._num_startup_trials = sampler, num_startup_trials
        self._rule = make_rule(scheduler, fixed["epochs"], grace_epochs, reduction_factor)
        self.study = open_study(path, objectives)
        self._known = known
        self._live: dict[int, Trial] = {}
        self._unfinished = [t.number for t in self._trials(TrialState.RUNNING)]
        self._num_reports = sum(len(recorded_epochs(t)) for t in self._trials())
        # Points carry the attribute, so that a start cut short in mid-loop adds none twice.
        num_enqueued = sum(OVERRIDES in trial.user_attrs for trial in self._trials())
        for point in [*first_points, *space.points][num_enqueued:]:
            params, overrides = space.split_point(point)
            self.study.enqueue_trial(params, {OVERRIDES: overrides})

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
                config = self.space.config(trial, self.fixed, trial.user_attrs.get(OVERRIDES))
            except UserError as error:  # a combination that the space's own check did not meet
                self.fail(trial.number, str(error))
                continue
            trial.set_user_attr(CONFIG, config.to_dict())
            epochs_done = len(recorded_epochs(self._frozen(trial.number)))
            return Assignment(trial.number, config.to_dict(), epochs_done)

    def report(self, number: int, metrics: dict[str, Any]) -> TrialState:
        """Record an epoch and say how the trial stands: RUNNING (go on), PRUNED, COMPLETE or FAIL.

        An epoch that is on record already (a trial restored from its checkpoint reports its last
        one again) is judged again but not recorded twice.
        """
        epoch = metrics["epoch"]
        for name in dict.fromkeys(["score", *self.objectives]):
            if not math.isfinite(metrics[name]):
                return self.fail(number, f"{name} is {metrics[name]} after epoch {epoch}")
        self._record(number, epoch, metrics)
        if epoch >= self.fixed["epochs"]:
            self.study.tell(number, [metrics[name] for name in self.objectives])
            state = TrialState.COMPLETE
        elif self._is_stopped(number, epoch):
            self.study.tell(number, state=TrialState.PRUNED)
            state = TrialState.PRUNED
        else:
            return TrialState.RUNNING
        del self._live[number]
        return state

    def fail(self, number: int, reason: str) -> TrialState:
        """Record that a trial failed, and why."""
        self._live.pop(number).set_user_attr(REASON, reason)
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

    def _record(self, number: int, epoch: int, metrics: dict[str, Any]) -> None:
        """Write an epoch to the study unless it is there."""
        trial, frozen = self._live[number], self._frozen(number)
        if epoch not in recorded_epochs(frozen):
            trial.set_user_attr(epoch_key(epoch), {**metrics, ARRIVAL: self._num_reports})
            self._num_reports += 1
        # For the sampler and for optuna-dashboard; Optuna has no such values of several objectives.
        if len(self.objectives) == 1 and epoch not in frozen.intermediate_values:
            trial.report(metrics[self._judged_metric], epoch)

    def _is_stopped(self, number: int, epoch: int) -> bool:
        """Say whether the rule of early stopping ends a trial after this epoch."""
        if epoch not in self._rule.epochs:  # spares the reading of all curves
            return False
        curves = curves_until(self._trials(), number, epoch, self._judged_metric)
        return self._rule.stops(curves, number)

    def _make_sampler(self) -> BaseSampler:
        # A fresh sampler per suggestion, seeded by the search's seed and the number of trials:
        # what is suggested depends on the study alone, not on how often the driver was restarted.
        num_trials = len(self._known) + len(self.study.get_trials(deepcopy=False))
        seed = (self.fixed["seed"] * 1_000_003 + num_trials) % 2**31
        sampler = make_sampler(self._sampler_name, seed, self._num_startup_trials)
        return InformedSampler(sampler, self._known) if self._known else sampler

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)


def open_study(path: Path, objectives: tuple[str, ...] = ("score",)) -> optuna.Study:
    """Open the study of a journal file, or start one; mends what a killed writer left behind.

    ``objectives`` matter to a new study alone. The caller holds the run folder's lock, so nobody
    else is writing.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=JournalStorage(TwinJournal(path)),
        study_name=STUDY_NAME,
        directions=["minimize"] * len(objectives),
        load_if_exists=True,
    )
    # What optuna-dashboard calls them; a study of another search has no place for them.
    if len(study.directions) == len(objectives) and study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(objectives))
    return study
