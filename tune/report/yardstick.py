"""The one metric that a report compares trials by, in all its figures and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune.records import judged_metric, search_objectives
from tune.spaces import OBJECTIVES


@dataclass(frozen=True)
class Yardstick:
    """A metric by its name, as in `TrialRecord.epochs`, and in words."""

    metric: str

    @classmethod
    def of(cls, search: Mapping[str, Any]) -> "Yardstick":
        """Return what a search judged by, from ``search.json``."""
        return cls(judged_metric(search_objectives(search)))

    @property
    def words(self) -> str:
        """The metric within a sentence, without its unit."""
        return OBJECTIVES[self.metric].partition(",")[0]

    @property
    def title(self) -> str:
        """The metric at the beginning of a sentence."""
        return self.words[0].upper() + self.words[1:]
