"""Where a replayed search gets its trials from: the table, a sampler of Optuna, or stock Ray."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from replay.simulator import Curve
from replay.surrogate import Measured, Surrogate

#: A sampler for the next suggestion, by the study so far.
MakeSampler = Callable[[optuna.Study], BaseSampler]


class Table:
    """Hands out random trials that were measured; all of them once before any comes again.

    With ``points`` the space's starting points come first.
    """

    def __init__(self, measured: Measured, rng: np.random.Generator, *, points: bool) -> None:
        self.measured, self.rng = measured, rng
        self.order = list(np.flatnonzero(measured.is_point)) if points else []

    def ask(self, number: int) -> Curve:
        """Return the next one's curve."""
        if number == len(self.order):
            self.order += list(self.rng.permutation(np.flatnonzero(~self.measured.is_point)))
        return self.measured.curve(self.order[number])

    def report(self, number: int, epoch: int, value: float) -> None:
        """Learn nothing."""

    def finish(self, number: int, value: float | None) -> None:
        """Learn nothing."""


class Study:
    """Asks a sampler of Optuna and a surrogate what comes of its suggestions.

    A paused trial is told as PRUNED at once; when it ends after all, the study is given its end
    as a second trial. ``points``, parameters with their measured curves, come first.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        make_sampler: MakeSampler,
        rng: np.random.Generator,
        points: Sequence[tuple[dict[str, Any], Curve]] = (),
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        self.surrogate, self.make_sampler, self.rng = surrogate, make_sampler, rng
        self.point_curves = [curve for _, curve in points]
        self.study = optuna.create_study(pruner=pruner)
        for params, _ in points:
            self.study.enqueue_trial(params)
        self.trials: list[Trial] = []
        self.told: set[int] = set()

    def ask(self, number: int) -> Curve:
        """Return the curve of the sampler's next suggestion."""
        self.study.sampler = self.make_sampler(self.study)
        trial = self.study.ask()
        self.trials.append(trial)
        curve = self.surrogate.curve(trial, self.rng)
        return self.point_curves[number] if number < len(self.point_curves) else curve

    def report(self, number: int, epoch: int, value: float) -> None:
        """Tell the study an epoch."""
        if number not in self.told:
            self.trials[number].report(value, epoch)

    def finish(self, number: int, value: float | None) -> None:
        """Tell the study how a trial ended."""
        trial = self.trials[number]
        if number in self.told:
            if value is not None:
                params, distributions = trial.params, trial.distributions
                self.study.add_trial(
                    optuna.create_trial(value=value, params=params, distributions=distributions)
                )
            return
        self.told.add(number)
        if value is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, value)

    def should_prune(self, number: int, epoch: int, value: float) -> bool:
        """Ask the study's own pruner."""
        return self.trials[number].should_prune()


class StockRay:
    """Ray's OptunaSearch and ASHAScheduler, called as Ray calls them; ``points`` come first."""

    def __init__(
        self,
        surrogate: Surrogate,
        seed: int,
        max_t: int,
        grace: int,
        factor: int,
        points: Sequence[tuple[dict[str, Any], Curve]] = (),
    ) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        self.surrogate, self.rng = surrogate, np.random.default_rng(seed)
        self.curve: Curve
        self.point_curves = [curve for _, curve in points]

        def space(trial: optuna.Trial) -> None:
            self.curve = surrogate.curve(trial, self.rng)

        first = [params for params, _ in points] or None
        self.search = OptunaSearch(
            space, metric="value", mode="min", seed=seed, points_to_evaluate=first
        )
        self.scheduler = ASHAScheduler("training_iteration", "value", "min", max_t, grace, factor)
        self.ray_trials: list[_RayTrial] = []
        self.last: dict[int, dict[str, float]] = {}

    def ask(self, number: int) -> Curve:
        """Return the curve of Ray's next suggestion."""
        trial = _RayTrial(str(number))
        self.ray_trials.append(trial)
        self.search.suggest(trial.trial_id)
        self.scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        return self.point_curves[number] if number < len(self.point_curves) else self.curve

    def report(self, number: int, epoch: int, value: float) -> None:
        """Give Ray a result."""
        self.last[number] = {"value": value, "training_iteration": epoch}
        self.search.on_trial_result(str(number), self.last[number])

    def finish(self, number: int, value: float | None) -> None:
        """Tell Ray that a trial is over: it tells both of them the same for either ending."""
        trial, result = self.ray_trials[number], self.last[number]
        self.scheduler.on_trial_complete(None, trial, result)  # type: ignore[arg-type]
        self.search.on_trial_complete(trial.trial_id, result)

    def stops(self, number: int, epoch: int, value: float) -> bool:
        """Ask Ray's scheduler."""
        trial, result = self.ray_trials[number], self.last[number]
        action = self.scheduler.on_trial_result(None, trial, result)  # type: ignore[arg-type]
        return action == self.scheduler.STOP


class _RayTrial:
    """What the scheduler wants to know of a trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id
