"""What can be said about a search from its trials alone, without drawing."""

import math
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from tune.records.confirmation import Lead
from tune.records.trials import TrialRecord, last_metrics, rank_complete, seconds_between
from tune.spaces.objectives import OBJECTIVES, SCORE, Settings
from utkface.evaluation.report.text import number
from utkface.metrics import REFERENCE_AGE_MAE, REFERENCE_GENDER_ERROR

#: With this many trials at a later epoch, it is preferred to an earlier one with more of them.
ENOUGH_TRIALS = 20
#: Standard deviation of absolute age errors over their mean, as in ±0.13 years at an MAE of 4.7
#: over 4,740 faces: the bootstrap interval of the reference's test set.
_AGE_ERROR_SPREAD = 0.97
#: The importance of parameters needs this many trials, and is compared to so many shufflings.
MIN_TRIALS = 10
_NUM_SHUFFLES = 40
#: Optuna's advice: this many trials at least in the group whose parameters are looked at.
_MIN_TOP_TRIALS = 5


@dataclass(frozen=True)
class Metric:
    """What trials are compared by, by its name in `TrialRecord.epochs` and in words."""

    name: str

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


def last_value(record: TrialRecord, metric: str) -> float:
    """Return a metric after the last epoch, NaN for a trial that has none."""
    return number(record.score if metric == "score" else last_metrics(record).get(metric))


def used_settings(record: TrialRecord, searched: Collection[str]) -> Settings:
    """Return a trial's configuration without what was searched but switched off in it."""
    settings = {**record.config, **record.params}
    unused = set(searched) - set(record.params)
    return {name: value for name, value in settings.items() if name not in unused}


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


def find_comparable(
    records: Sequence[TrialRecord], epochs: Sequence[int], metric: str = "score"
) -> Comparable:
    """Return the trials' scores after a common epoch, one of ``epochs`` (the rungs and the last).

    Scores after different numbers of epochs cannot be compared, and early stopping leaves few
    trials with the full number. So: after the latest epoch that enough trials reached, else after
    the one that most reached.
    """
    counts = {e: sum(math.isfinite(value_at(r, e, metric)) for r in records) for e in epochs}
    epoch = max(epochs, key=lambda e: (min(counts[e], ENOUGH_TRIALS), e))
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
    records: Sequence[TrialRecord], search_created: str, metric: str = "score"
) -> list[Finish]:
    """Return the complete trials in the order in which they ended."""
    done = [
        Finish(r.number, seconds_between(search_created, r.ended), last_value(r, metric))
        for r in rank_finite(records, (metric,))
    ]
    # Trials without a readable time keep their numbers' order, after the others.
    return sorted(done, key=lambda f: (math.isnan(f.time_s), f.time_s, f.number))


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
    mae, accuracy = last_value(record, "age_mae"), last_value(record, "gender_accuracy")
    if not 0 <= accuracy <= 1:
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

    pairs: Sequence[tuple[float, float]]  # (earlier score, later score) of each trial with both

    @cached_property
    def correlation(self) -> float:
        """Spearman's rank correlation, NaN for fewer than three pairs or constant scores."""
        from scipy.stats import spearmanr  # here, as it takes a second

        columns = zip(*self.pairs, strict=True)
        if len(self.pairs) < 3 or any(len(set(scores)) < 2 for scores in columns):
            return math.nan
        return float(spearmanr(self.pairs).statistic)

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval (Bonett and Wright, 2000), NaN for fewer than five pairs."""
        if len(self.pairs) < 5:
            return math.nan, math.nan
        # Fisher's z is infinite at ±1, where it says more about the few pairs than about them all.
        centre = math.atanh(max(-0.999, min(0.999, self.correlation)))
        half = 1.96 * math.sqrt((1 + self.correlation**2 / 2) / (len(self.pairs) - 3))
        return math.tanh(centre - half), math.tanh(centre + half)


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

    def compare(earlier: int, later: int) -> Agreement:
        scores = [(value_at(r, earlier, metric), value_at(r, later, metric)) for r in records]
        return Agreement([pair for pair in scores if all(map(math.isfinite, pair))])

    ends = [curve(r)[0][-1:] for r in records if r.state == "PRUNED" and not r.diverged]
    return [
        Rung(
            epoch,
            num_arrived=sum(math.isfinite(value_at(r, epoch, metric)) for r in records),
            num_stopped=ends.count([epoch]),
            next=compare(epoch, following),
            end=compare(epoch, last_epoch),
        )
        for epoch, following in pairwise([*epochs, last_epoch])
    ]


@dataclass(frozen=True)
class Importance:
    """One parameter's share of all importance, and the share that chance alone would reach."""

    name: str
    share: float
    chance: float  # 95th percentile over shuffled scores, on the same scale
    num_trials: int  # trials that had this parameter at all


@dataclass(frozen=True)
class Importances:
    """All parameters, most important first, and which trials they were judged by."""

    parameters: list[Importance]
    num_trials: int
    num_top: int


def judge_parameters(comparable: Comparable, study: optuna.Study) -> Importances | None:
    """Return every parameter's importance for the score at a common epoch; None for too few trials.

    By PED-ANOVA in its conditional form (https://arxiv.org/abs/2601.20800), Optuna's default, which
    copes with parameters that only some trials have. Those that never varied are left out.
    """
    frozen = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    judged = [(frozen[r.number], score) for r, score in comparable.pairs if r.number in frozen]
    trials = [trial for trial, _ in judged]
    names = sorted({n for t in trials for n, d in t.distributions.items() if not d.single()})
    if len(judged) < MIN_TRIALS or not names:
        return None
    quantile = min(0.5, max(0.1, _MIN_TOP_TRIALS / len(trials)))
    raw, chance = _evaluate(trials, np.array([score for _, score in judged]), names, quantile)
    total = sum(raw.values()) or 1.0
    parameters = [
        Importance(n, raw[n] / total, chance[n] / total, sum(n in t.params for t in trials))
        for n in sorted(names, key=lambda name: -raw[name])
    ]
    return Importances(parameters, len(trials), math.ceil(quantile * len(trials)))


def _evaluate(
    trials: Sequence[FrozenTrial], scores: np.ndarray, names: list[str], quantile: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the importances for the scores as they are, and the 95th percentile when shuffled."""
    rng = np.random.default_rng(0)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it announces every study in memory
    try:
        study = optuna.create_study()
        study.add_trials(
            optuna.create_trial(params=t.params, distributions=t.distributions, value=float(score))
            for t, score in zip(trials, scores, strict=True)
        )

        def evaluate(values: np.ndarray) -> dict[str, float]:
            with warnings.catch_warnings():
                # About `normalize`, `target` and small groups: on purpose, and said in the report.
                warnings.simplefilter("ignore")
                return get_param_importances(
                    study, evaluator=evaluator, params=names, normalize=False,
                    target=lambda trial: float(values[trial.number]),
                )  # fmt: skip

        raw = evaluate(scores)
        shuffled = [evaluate(rng.permutation(scores)) for _ in range(_NUM_SHUFFLES)]
    finally:
        optuna.logging.set_verbosity(verbosity)
    return raw, {n: float(np.quantile([each[n] for each in shuffled], 0.95)) for n in names}
