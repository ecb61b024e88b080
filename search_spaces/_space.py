"""A checked search space: what `load_space` returns and a search asks for configurations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces._file import SpaceFile
from search_spaces._signature import Draw, build_signature
from utkface.config import TrainConfig
from utkface.io import UserError

if TYPE_CHECKING:  # importing Optuna takes longer than all else that `--list-spaces` does
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Suggest = Callable[["BaseTrial"], dict[str, Any]]


@dataclass(frozen=True)
class Fit:
    """A configuration as a space would have suggested it."""

    params: dict[str, Any]
    distributions: dict[str, "BaseDistribution"]
    config: TrainConfig  # with the space's own constants


@dataclass(frozen=True)
class Space:
    """A question, the hyperparameters that it varies, and the configurations to try first."""

    file: SpaceFile
    suggest: Suggest
    points: list[dict[str, Any]]
    draws: list[Draw]  # the seeded random trials that the space was checked with
    objectives: tuple[str, ...]  # what a search minimises unless the command line says otherwise

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def question(self) -> str:
        """The first line of the docstring."""
        return self.file.question

    @property
    def path(self) -> Path:
        """Where the space was read from."""
        return self.file.path

    @property
    def source(self) -> str:
        """The text that was run, for the run folder."""
        return self.file.text

    @property
    def suggested(self) -> list[str]:
        """Every hyperparameter that some trial suggests, in the order of appearance."""
        return list(dict.fromkeys(name for draw in self.draws for name in draw.params))

    def config(
        self,
        trial: "BaseTrial",
        fixed: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
    ) -> TrainConfig:
        """Return the configuration of a trial; one that was resumed gets the same again.

        ``fixed`` is what the command sets (`SET_BY_COMMAND`), ``overrides`` the second half of
        `split_point` for a trial that came from a point. Raises `UserError` with the file.
        """
        constants = self.suggest(trial)
        try:
            return TrainConfig.from_dict(
                {**constants, **trial.params, **(overrides or {}), **fixed}
            )
        except UserError as error:
            raise self.file.error(error) from error

    def fit(self, values: Mapping[str, Any], fixed: Mapping[str, Any]) -> Fit:
        """Return the trial of this space whose parameters have these values.

        ``values`` is a whole configuration, of which only what the space suggests is looked at;
        ``fixed`` is as for `config`. Raises `UserError` that names the first parameter whose value
        this space would not suggest.
        """
        from search_spaces._recording import RecordingTrial

        trial = RecordingTrial(0, values, complete=True)
        config = self.config(trial, fixed)
        return Fit(dict(trial.params), dict(trial.distributions), config)

    def split_point(self, point: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split a point into parameters to enqueue and constants to override for its trial."""
        names = set(self.suggested)
        params = {name: value for name, value in point.items() if name in names}
        overrides = {name: value for name, value in point.items() if name not in names}
        return params, overrides

    def signature(self) -> dict[str, Any]:
        """Return what the space does, as JSON: equal for two versions that behave the same."""
        return build_signature(self.draws, self.points)
