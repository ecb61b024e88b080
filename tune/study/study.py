"""The search's memory: an Optuna study on disk, told everything the moment it happens.

The journal file is the only truth about a search. Each suggestion, each epoch's metrics and each
ending is flushed to it before anything else acts on it; tables, figures and Ray's own state can be
rebuilt from it. After a crash the same study is opened again: finished trials stand, unfinished
ones (RUNNING) are handed out first, and rungs need no restoring (see `tune.study.stopping`).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from tune.records.trials import TrialRecord
from tune.spaces.objectives import DEFAULT_OBJECTIVES, Metrics, Settings
from tune.study import store
from tune.study.journal import TwinJournal
from tune.study.samplers import InformedSampler, NearPoints, make_sampler
from tune.study.sources import ROWS, SEARCH_ROWS, GivenTrial, GivenTrials, Point, TrialSource
from tune.study.stopping import make_rule, to_places
from utkface.io import describe_error

#: After so many suggestions in a row that were no configuration, the space is at fault.
MAX_BAD_SUGGESTIONS = 3


@dataclass(frozen=True)
class Assignment:
    """A trial to be run: its number, its configuration and how many epochs are on record."""

    number: int
    config: Settings
    epochs_done: int
    rows: str  # the faces to train on, a name in `TrialJob.rows`


class SearchStudy:
    """One search's study: hands out trials, takes reports, decides on early stopping.

    Parameters: ``path`` of the journal file; ``space``, a search space or any other `TrialSource`,
    and the ``fixed`` settings of every trial, ``epochs`` and ``seed`` among them; ``objectives``,
    the metrics to minimise; ``sampler`` and ``scheduler`` by name, as on the command line;
    ``first_points`` to try before the space's own and ``known`` trials of earlier searches, which
    the sampler alone learns from (see `tune.search.warm_start`).

    Early stopping judges by the objective, by the place among all fronts where there are several.
    Used by one process at a time (see `tune.records.run_folder.RunFolder.lock`).
    """

    def __init__(
        self,
        path: Path,
        space: TrialSource,
        fixed: Mapping[str, int],
        *,
        kind: str = store.SEARCH_STUDY,
        objectives: tuple[str, ...] = DEFAULT_OBJECTIVES,
        sampler: str = "tpe",
        scheduler: str = "asha",
        grace_epochs: int = 1,
        reduction_factor: int = 3,
        num_startup_trials: int = 8,
        first_points: Sequence[Point] = (),
        known: Sequence[FrozenTrial] = (),
    ) -> None:
        self.space, self.fixed, self.objectives = space, fixed, objectives
        self._sampler_name, self._num_startup_trials = sampler, num_startup_trials
        self._rule = make_rule(scheduler, fixed["epochs"], grace_epochs, reduction_factor)
        self._journal = TwinJournal(path)
        self.study = store.open_study(self._journal, objectives, kind)
        self._known = known
        self._ended: dict[int, TrialRecord] = {}  # what was read already
        self._live: dict[int, Trial] = {}
        self._unfinished: list[int] = []
        for trial in self._trials(TrialState.RUNNING):
            if store.DIVERGENCE in trial.user_attrs:  # the driver was killed before it could tell
                self.study.tell(trial.number, state=TrialState.PRUNED)
            else:
                self._unfinished.append(trial.number)
        self._num_reports = sum(
            len(store.recorded_epochs(t)) + (store.DIVERGENCE in t.user_attrs)
            for t in self._trials()
        )
        # Points carry the attribute, so that a start cut short in mid-loop adds none twice.
        num_enqueued = sum(store.OVERRIDES in trial.user_attrs for trial in self._trials())
        points = [*((point, False) for point in first_points), *((p, True) for p in space.points)]
        self._centres = [space.split_point(point)[0] for point, _ in points]
        for point, is_own in points[num_enqueued:]:
            self._enqueue(point, is_own=is_own)
        self._journal.flush()

    def _enqueue(self, point: Point, *, is_own: bool) -> None:
        params, overrides = self.space.split_point(point)
        self.study.enqueue_trial(params, {store.OVERRIDES: overrides, store.OWN_POINT: is_own})

    def next_trial(self) -> Assignment | None:
        """Hand out an unfinished trial, else the next point to try first, else a new suggestion.

        None where all that were given have been handed out, and where the space itself fails again
        and again: each such trial is on record as failed.
        """
        for _ in range(MAX_BAD_SUGGESTIONS):
            self.study.sampler = self._make_sampler()
            if self._unfinished:
                frozen = self.study.trials[self._unfinished.pop(0)]
                trial = Trial(self.study, frozen._trial_id)
            elif not self.space.can_suggest and not self._trials(TrialState.WAITING):
                return None
            else:
                trial = self.study.ask()
            self._live[trial.number] = trial
            try:
                overrides = trial.user_attrs.get(store.OVERRIDES, {})
                config = self.space.settings(trial, self.fixed, overrides)
            except Exception as error:  # a user's code, met by a draw that its check did not make
                self.fail(trial.number, describe_error(error))
                continue
            trial.set_user_attr(store.CONFIG, config)
            self._journal.flush()
            epochs_done = len(store.recorded_epochs(self._frozen(trial.number)))
            rows = overrides.get(ROWS, SEARCH_ROWS)
            return Assignment(trial.number, config, epochs_done, rows)
        return None

    def report(self, number: int, metrics: Metrics) -> TrialState:
        """Record an epoch and say how the trial stands: RUNNING (go on), PRUNED or COMPLETE.

        An epoch that is on record already (a trial restored from its checkpoint reports its last
        one again) is judged again but not recorded twice.
        """
        epoch = int(metrics["epoch"])
        for name in self.objectives:
            if not math.isfinite(metrics[name]):
                return self.diverge(number, f"{name} is {metrics[name]} after epoch {epoch}")
        self._record(number, epoch, metrics)
        if epoch >= self._frozen(number).user_attrs[store.CONFIG]["epochs"]:
            self.study.tell(number, [metrics[name] for name in self.objectives])
            state = TrialState.COMPLETE
        elif self._is_stopped(number, epoch):
            self.study.tell(number, state=TrialState.PRUNED)
            state = TrialState.PRUNED
        else:
            state = TrialState.RUNNING
        self._journal.flush()
        if state != TrialState.RUNNING:
            del self._live[number]
        return state

    def diverge(self, number: int, reason: str) -> TrialState:
        """Record that a trial diverged: it ends as PRUNED, worse than any for sampler and rungs."""
        epoch = 1 + max(store.recorded_epochs(self._frozen(number)), default=0)
        ending = {"reason": reason, "epoch": epoch, store.ARRIVAL: self._num_reports}
        self._num_reports += 1
        self._live.pop(number).set_user_attr(store.DIVERGENCE, ending)
        self.study.tell(number, state=TrialState.PRUNED)
        self._journal.flush()
        return TrialState.PRUNED

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial failed, and why: neither sampler nor rungs learn anything from it."""
        self._live.pop(number).set_user_attr(store.REASON, reason)
        self.study.tell(number, state=TrialState.FAIL)
        self._journal.flush()

    def withdraw(self, numbers: Collection[int]) -> None:
        """Hand out none of these trials in this session.

        Those that have begun may go on in a later one; those that wait are on record as failed.
        """
        if not numbers:
            return
        self._unfinished = [number for number in self._unfinished if number not in numbers]
        for _ in self._trials(TrialState.WAITING):
            trial = self.study.ask()  # the first that waits
            if trial.number in numbers:
                self._live[trial.number] = trial
                self.fail(trial.number, "no longer asked for")
            else:
                self._unfinished.append(trial.number)
        self._journal.flush()

    def num_started(self) -> int:
        """Return how many trials have been handed out, finished or not, in all sessions."""
        return len(self._trials()) - len(self._trials(TrialState.WAITING))

    def num_results(self) -> int:
        """Return how many of them ended and were not failures."""
        return len(self._trials(TrialState.COMPLETE, TrialState.PRUNED))

    def num_failed(self) -> int:
        """Return how many of them failed, and so say nothing."""
        return len(self._trials(TrialState.FAIL))

    def put_back(self, number: int) -> None:
        """Let a trial wait to go on, the next to be handed out."""
        self._unfinished.insert(0, number)

    def num_unfinished(self) -> int:
        """Return how many trials wait to go on, those of an earlier session or put back."""
        return len(self._unfinished)

    def records(self) -> list[TrialRecord]:
        """Return all trials that were ever handed out, by number."""
        records = store.study_records(self.study, self._ended)
        self._ended = {r.number: r for r in records if r.state != TrialState.RUNNING.name}
        return records

    def _record(self, number: int, epoch: int, metrics: Metrics) -> None:
        trial, frozen = self._live[number], self._frozen(number)
        if epoch not in store.recorded_epochs(frozen):
            trial.set_user_attr(
                store.epoch_key(epoch), {**metrics, store.ARRIVAL: self._num_reports}
            )
            self._num_reports += 1
        # For the sampler and for optuna-dashboard; Optuna has no such values of several objectives.
        if len(self.objectives) == 1 and epoch not in frozen.intermediate_values:
            trial.report(metrics[self.objectives[0]], epoch)

    def _is_stopped(self, number: int, epoch: int) -> bool:
        if epoch not in self._rule.epochs:  # spares the reading of all curves
            return False
        trials = self._trials()
        curves = store.curves_until(trials, number, epoch, self.objectives, self._rule.epochs)
        places = to_places(curves)
        if len(self.objectives) > 1 and places[number][epoch] == 0:
            return False  # no other trial is better in all objectives
        return self._rule.stops(places, number)

    def _make_sampler(self) -> BaseSampler:
        # A fresh sampler per suggestion, seeded by the search's seed and the number of its trial:
        # what is suggested depends on the study alone, not on how often the driver was restarted.
        seed = (self.fixed["seed"] * 1_000_003 + len(self._known) + self._next_number()) % 2**31
        sampler = make_sampler(self._sampler_name, seed, self._num_startup_trials)
        # Until so many have a result TPE has too little to model, and would draw evenly.
        num_known = len(self._known) + self.num_results()
        if self._sampler_name == "tpe" and num_known < self._num_startup_trials:
            sampler = NearPoints(self._centres, seed)
        diverged = {t.number for t in self._trials() if store.DIVERGENCE in t.user_attrs}
        if self._known or diverged:
            return InformedSampler(sampler, self._known, diverged)
        return sampler

    def _next_number(self) -> int:
        waiting = [trial.number for trial in self._trials(TrialState.WAITING)]
        return next(iter([*self._unfinished, *waiting]), len(self._trials()))

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)


T = TypeVar("T", bound=GivenTrial)


class GivenStudy(SearchStudy, Generic[T]):
    """A study of given trials, each an ``of``; opened anew, it holds those that it was given.

    Other parameters as of `SearchStudy`.
    """

    def __init__(
        self,
        path: Path,
        of: type[T],
        fixed: Mapping[str, int],
        *,
        kind: str,
        objectives: tuple[str, ...],
    ) -> None:
        super().__init__(
            path, GivenTrials(), fixed, kind=kind, objectives=objectives,
            sampler="random", scheduler="none",
        )  # fmt: skip
        enqueued = [trial.user_attrs[store.OVERRIDES] for trial in self._trials()]
        self.given = [of.parse(point, str(path)) for point in enqueued]

    def give(self, trial: T) -> None:
        """Have one more trial handed out, after those that wait; it is on disk from now on."""
        self.given.append(trial)
        self._enqueue(trial.model_dump(), is_own=True)
        self._journal.flush()
