"""What can be said about a search from its trial records alone. Pure functions, no drawing."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tune.records.confirmation import Lead
from tune.records.trials import TrialRecord, last_metrics, rank_complete, seconds_between
from tune.spaces.objectives import OBJECTIVES, SCORE, Settings, judged_metric
from utkface.evaluation.report.text import number
from utkface.metrics import REFERENCE_AGE_MAE, REFERENCE_GENDER_ERROR

#: With this many trials at a later epoch, it is preferred to an earlier one with more of them.
ENOUGH_TRIALS = 20
#: Standard deviation of absolute age errors over their mean, as in ±0.13 years at an MAE of 4.7
#: over 4,740 faces: the bootstrap interval of the reference's test set.
_AGE_ERROR_SPREAD = 0.97


@dataclass(frozen=True)
class Metric:
    """What trials are compared by, by its name in `TrialRecord.epochs` and in words."""

    name: str

    @classmethod
    def judging(cls, objectives: Sequence[str]) -> "Metric":
        """Return what a search with these objectives judges by."""
        return cls(judged_metric(objectives))

    @property
    def words(self) -> str:
        """The metric within a sentence, without its unit."""
        return OBJECTIVES[self.name].partition(",")[0]

    @property
    def title(self) -> str:
        """The metric at the beginning of a sentence."""
        return self.words[0].upper() + self.words[1:]


def curve(record: TrialRecord, metric: str = "score") -> tuple[list[int], list[float]]:
    """Return a trial's epochs (from 1) and one metric after each, NaN where it is missing."""
    epochs = [int(row.get("epoch", i)) for i, row in enumerate(record.epochs, start=1)]
    return epochs, [number(row.get(metric)) for row in record.epochs]


def value_at(record: TrialRecord, epoch: int, metric: str) -> float:
    """Return a metric after ``epoch`` epochs, NaN for a trial that has none."""
    return dict(zip(*curve(record, metric), strict=True)).get(epoch, math.nan)


def used_settings(record: TrialRecord, searched: Collection[str]) -> Settings:
    """Return a trial's configuration without what was searched but switched off in it."""
    settings = {**record.config, **record.params}
    unused = set(searched) - set(record.params)
    return {name: value for name, value in settings.items() if name not in unused}


def last_value(record: TrialRecord, metric: str) -> float:
    """Return a metric after the last epoch, NaN for a trial that has none."""
    return number(record.score if metric == "score" else last_metrics(record).get(metric))


def rank_finite(
    records: Sequence[TrialRecord], objectives: Sequence[str] = SCORE
) -> list[TrialRecord]:
    """Return the complete trials with a finite score and finite objectives, best first."""
    names = ["score", *objectives]
    finite = [r for r in records if all(math.isfinite(last_value(r, name)) for name in names)]
    return rank_complete(finite, objectives)


@dataclass(frozen=True)
class Comparable:
    """The trials that can be compared: all that reached ``epoch``, by their score there.

    Here and below, "score" is the metric that the search judges by, whichever that is.
    """

    epoch: int
    pairs: list[tuple[TrialRecord, float]]  # best first, each with its score

    @property
    def records(self) -> list[TrialRecord]:
        """The trials alone, best first."""
        return [record for record, _ in self.pairs]


def find_comparable(
    records: Sequence[TrialRecord], epochs: Sequence[int], metric: str = "score"
) -> Comparable:
    """Return the trials' scores after a common epoch, one of ``epochs`` (the rungs and the last).

    Scores after different numbers of epochs cannot be compared, and early stopping leaves few
    trials with the full number. So: after the latest epoch that enough trials reached, else after
    the one that most reached.
    """
    counts = {e: sum(math.isfinite(value_at(r, e, metric)) for r in records) for e in epochs}
    enough = [epoch for epoch, count in counts.items() if count >= ENOUGH_TRIALS]
    epoch = max(enough) if enough else max(counts, key=lambda e: (counts[e], e), default=0)
    pairs = [(record, value_at(record, epoch, metric)) for record in records]
    reached = [pair for pair in pairs if math.isfinite(pair[1])]
    return Comparable(epoch, sorted(reached, key=lambda pair: (pair[1], pair[0].number)))


@dataclass(frozen=True)
class Finish:
    """A complete trial in the order of finishing."""

    number: int
    time_s: float  # since the search began; NaN where unknown
    score: float


def finishes(
    records: Sequence[TrialRecord], search_created: str | None, metric: str = "score"
) -> list[Finish]:
    """Return the complete trials in the order in which they ended."""
    ranking = rank_finite(records, (metric,))
    timed = [(seconds_between(search_created, r.ended), r) for r in ranking]
    # Trials without a readable time keep their numbers' order, after the others.
    timed.sort(key=lambda item: (math.isnan(item[0]), item[0], item[1].number))
    return [Finish(record.number, time_s, last_value(record, metric)) for time_s, record in timed]


@dataclass(frozen=True)
class Margins:
    """Half the 95 % intervals of a trial's results, from the number of validation faces alone.

    Seeds come on top. NaN where nothing is known.
    """

    age_mae: float
    gender_accuracy: float
    score: float


def find_margins(record: TrialRecord, num_faces: int) -> Margins:
    """Return how far a trial's results may be from those on other faces of the same kind."""
    mae = number(last_metrics(record).get("age_mae"))
    accuracy = number(last_metrics(record).get("gender_accuracy"))
    if not num_faces or not 0 <= accuracy <= 1:
        return Margins(math.nan, math.nan, math.nan)
    age = 1.96 * _AGE_ERROR_SPREAD * mae / math.sqrt(num_faces)
    gender = 1.96 * math.sqrt(accuracy * (1 - accuracy) / num_faces)
    score = math.hypot(age / REFERENCE_AGE_MAE, gender / REFERENCE_GENDER_ERROR) / 2
    return Margins(age, gender, score)


def find_leads(best: TrialRecord, others: Iterable[TrialRecord], num_faces: int) -> list[Lead]:
    """Return the best trial's lead in the score over each other one, in their order.

    The intervals are of two trials that err on different faces. They are the same ones, on which
    the errors of two models mostly agree, so these are too wide rather than too narrow.
    """
    mine = find_margins(best, num_faces).score
    leads = []
    for other in others:
        value = last_value(other, "score") - last_value(best, "score")
        margin = math.hypot(mine, find_margins(other, num_faces).score)
        leads.append(Lead(over=other.number, value=value, low=value - margin, high=value + margin))
    return leads


@dataclass(frozen=True)
class Agreement:
    """How far the ranking after one epoch agrees with that after a later one."""

    pairs: tuple[tuple[float, float], ...]  # (earlier score, later score) of each trial with both
    correlation: float  # Spearman's; NaN for fewer than 3 pairs
    low: float  # 95 % interval; NaN for fewer than 5 pairs
    high: float


@dataclass(frozen=True)
class Rung:
    """How one rung fared: who arrived, who was stopped, and what its ranking says about later."""

    epoch: int
    num_arrived: int
    num_stopped: int
    next: Agreement  # with the next rung, which more trials reach than the end
    end: Agreement


def judge_rungs(
    records: Sequence[TrialRecord], epochs: Sequence[int], last_epoch: int, metric: str = "score"
) -> list[Rung]:
    """Return for each rung how its ranking agrees with the next rung's and with the last epoch's.

    Only trials that went on have later scores, so every agreement is among survivors.
    """
    result = []
    for epoch, following in pairwise([*epochs, last_epoch]):
        stopped = [
            r
            for r in records
            if r.state == "PRUNED" and not r.diverged and curve(r)[0][-1:] == [epoch]
        ]
        arrived = [r for r in records if math.isfinite(value_at(r, epoch, metric))]
        to_next = compare_epochs(records, epoch, following, metric)
        to_end = compare_epochs(records, epoch, last_epoch, metric)
        result.append(Rung(epoch, len(arrived), len(stopped), to_next, to_end))
    return result


def compare_epochs(
    records: Sequence[TrialRecord], earlier: int, later: int, metric: str
) -> Agreement:
    """Return how the ranking after one epoch agrees with a later one's, over trials with both."""
    scores = [(value_at(r, earlier, metric), value_at(r, later, metric)) for r in records]
    pairs = tuple(pair for pair in scores if all(map(math.isfinite, pair)))
    correlation = rank_correlation(pairs)
    return Agreement(pairs, correlation, *correlation_interval(correlation, len(pairs)))


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Return Spearman's rank correlation, NaN for fewer than three pairs or constant scores."""
    from scipy.stats import spearmanr  # here, as it takes a second

    if len(pairs) < 3 or any(len(set(scores)) < 2 for scores in zip(*pairs, strict=True)):
        return math.nan
    return float(spearmanr(pairs).statistic)


def correlation_interval(correlation: float, num_pairs: int) -> tuple[float, float]:
    """Return the 95 % interval of a rank correlation (Bonett and Wright, 2000), NaN below 5."""
    if num_pairs < 5 or math.isnan(correlation):
        return math.nan, math.nan
    # Fisher's z is infinite at ±1, where the estimate says more about the few pairs than about it.
    centre = math.atanh(max(-0.999, min(0.999, correlation)))
    half = 1.96 * math.sqrt((1 + correlation**2 / 2) / (num_pairs - 3))
    return math.tanh(centre - half), math.tanh(centre + half)
