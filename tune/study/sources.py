"""Where a study's trials come from: any task's ``suggest``, or trials that are given one by one.

A search space (`tune.spaces.space.Space`) is such a source too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from optuna.trial import Trial

from tune.records.files import Record
from tune.spaces.objectives import Settings
from utkface.config import TrainConfig

#: What is enqueued, as JSON keeps it: values of a space's names, or a `GivenTrial`.
Point = Mapping[str, Any]
#: The name of a search's rows in `TrialJob.rows`, and where a given trial names others.
SEARCH_ROWS, ROWS = "search", "rows"


class TrialSource(Protocol):
    """Where a study's trials come from: a search space, or trials that are given one by one."""

    can_suggest: ClassVar[bool]  # further trials than its points

    @property
    def points(self) -> Sequence[Point]:
        """The trials to hand out first."""

    def split_point(self, point: Point) -> tuple[Settings, Point]:
        """Return a point's parameters to suggest, and what else it sets."""

    def settings(self, trial: Trial, fixed: Mapping[str, int], overrides: Point) -> Settings:
        """Return a trial's whole configuration, with ``epochs``, its full budget, in it."""


class GivenTrial(Record):
    """A trial that is given and not suggested; its owner may add what else it needs."""

    config: Settings
    rows: str = SEARCH_ROWS  # the faces to train on, a name in `TrialJob.rows`


class GivenTrials:
    """Trials of which each is given, to an open study."""

    can_suggest: ClassVar[bool] = False
    points: Sequence[Point] = ()

    def split_point(self, point: Point) -> tuple[Settings, Point]:
        """Return no parameters to suggest: all of a given trial is beyond suggesting."""
        return {}, point

    def settings(self, trial: Trial, fixed: Mapping[str, int], overrides: Point) -> Settings:
        """Return the configuration that was given."""
        return TrainConfig.from_dict(overrides["config"]).to_dict()


@dataclass(frozen=True)
class Suggested:
    """Trials of any task: ``suggest`` returns what is constant in a trial's configuration."""

    can_suggest: ClassVar[bool] = True
    suggest: Callable[[Trial], Settings]
    points: Sequence[Settings] = ()

    def split_point(self, point: Point) -> tuple[Settings, Point]:
        """Return all of a point as parameters to suggest."""
        return dict(point), {}

    def settings(self, trial: Trial, fixed: Mapping[str, int], overrides: Point) -> Settings:
        """Return what is constant, suggested and fixed."""
        return {**self.suggest(trial), **trial.params, **overrides, **fixed}
