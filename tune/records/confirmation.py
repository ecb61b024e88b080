"""What training a search's best again has shown, a part of ``search.json`` and of ``best.json``."""

from collections.abc import Sequence

from tune.records.files import Record
from tune.records.trials import TrialRecord
from tune.spaces.objectives import Metrics


class Lead(Record):
    """By how much lower the winner's metric is than another trial's, with its 95 % interval."""

    over: int  # the other trial's number
    metric: str = "score"
    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval is clear of zero."""
        return self.low > 0

    def __str__(self) -> str:
        words, interval = self.metric.replace("_", " "), f"({self.low:+.3f} to {self.high:+.3f})"
        return f"trial {self.over}: {self.value:+.3f} in {words} {interval}"


class Confirmed(Record):
    """A trial that was trained again: means over all its seeds, on the validation faces."""

    trial: int
    is_starting_point: bool
    seeds: list[int]  # the search's own first, if the trial was complete there
    values: dict[str, float]  # of each objective
    score: float
    age_mae: float
    gender_accuracy: float

    @property
    def means(self) -> Metrics:
        """The same by the metrics' names."""
        shown = ("score", "age_mae", "gender_accuracy")
        return {**{name: getattr(self, name) for name in shown}, **self.values}


class Confirmation(Record):
    """What training again showed: the trials, best first, and the first one's leads."""

    trials: list[Confirmed]
    leads: list[Lead]  # first those in what was minimised, if it is a mean over faces

    @property
    def winner(self) -> Confirmed:
        """The trial with the best mean over its seeds."""
        return self.trials[0]

    def lead(self, over: int, metric: str) -> Lead | None:
        """Return the lead over a trial in a metric, if it is known."""
        same = (lead for lead in self.leads if (lead.over, lead.metric) == (over, metric))
        return next(same, None)

    def sentence(self) -> str:
        """Say what may be claimed, in one sentence or two."""
        # The leads in what was minimised; in the score where that is no mean over faces.
        metric = self.leads[0].metric if self.leads else None
        leads = {lead.over: lead for lead in self.leads if lead.metric == metric}
        start = next((trial.trial for trial in self.trials if trial.is_starting_point), None)
        runner_up = next((t.trial for t in self.trials[1:] if t.trial in leads), None)
        parts = []
        if runner_up is not None and runner_up != start:
            parts.append(f"over the runner-up, {leads[runner_up]}")
        if start in leads:
            parts.append(f"over the starting point, {leads[start]}")
        objectives = self.winner.values
        is_one = len(objectives) == 1
        best = "the best" if is_one else "the best by score of those that were trained again"
        text = f"trial {self.winner.trial} is {best}"
        if start == self.winner.trial:
            text = f"trial {start}, a starting point of the space, is {best} that was found"
        elif start in leads and not leads[start].is_clear and (not is_one or metric in objectives):
            text += ", but no better than the starting point as far as these faces and seeds tell"
        elif len(self.trials) == 1:
            text = f"trial {self.winner.trial} is the only one that could be confirmed"
        return f"{text}; its lead {', and '.join(parts)}" if parts else text


def confirmed_first(
    ranking: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    confirmation: Confirmation | None,
) -> list[TrialRecord]:
    """Return ranked trials after those that were trained again, which their means over seeds order.

    So the first is the best. ``records`` are all trials: what was trained again may have been
    stopped early.
    """
    by_number = {record.number: record for record in records}
    again = [by_number[trial.trial] for trial in confirmation.trials] if confirmation else []
    return again + [record for record in ranking if record not in again]
