"""Which parameters mattered: Optuna's importance, beside what it would say of shuffled scores.

Method: PED-ANOVA in its conditional form (https://arxiv.org/abs/2601.20800), Optuna's default,
which copes with parameters that only some trials have.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from tune.report.analysis import Comparable

MIN_TRIALS = 10
NUM_SHUFFLES = 40
#: Optuna's advice: this many trials at least in the group whose parameters are looked at.
MIN_TOP_TRIALS = 5


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

    Parameters that never varied are left out.
    """
    frozen = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    judged = [(frozen[r.number], score) for r, score in comparable.pairs if r.number in frozen]
    trials = [trial for trial, _ in judged]
    names = sorted({n for t in trials for n, d in t.distributions.items() if not d.single()})
    if len(judged) < MIN_TRIALS or not names:
        return None
    raw, chance = _evaluate(trials, np.array([score for _, score in judged]), names)
    total = sum(raw.values()) or 1.0
    parameters = [
        Importance(n, raw[n] / total, chance[n] / total, sum(n in t.params for t in trials))
        for n in sorted(names, key=lambda name: -raw[name])
    ]
    return Importances(parameters, len(trials), math.ceil(_quantile(trials) * len(trials)))


def _quantile(trials: Sequence[FrozenTrial]) -> float:
    return min(0.5, max(0.1, MIN_TOP_TRIALS / len(trials)))


def _evaluate(
    trials: Sequence[FrozenTrial], scores: np.ndarray, names: list[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the importances for the scores as they are, and the 95th percentile when shuffled."""
    rng = np.random.default_rng(0)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_quantile(trials))
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it announces every study in memory
    try:
        study = optuna.create_study()
        study.add_trials(
            optuna.create_trial(params=t.params, distributions=t.distributions, value=float(score))
            for t, score in zip(trials, scores, strict=True)
        )
        with warnings.catch_warnings():
            # About `normalize`, `target` and small groups: all on purpose, and said in the report.
            warnings.simplefilter("ignore")

            def evaluate(values: np.ndarray) -> dict[str, float]:
                return get_param_importances(
                    study, evaluator=evaluator, params=names, normalize=False,
                    target=lambda trial: float(values[trial.number]),
                )  # fmt: skip

            raw = evaluate(scores)
            shuffled = [evaluate(rng.permutation(scores)) for _ in range(NUM_SHUFFLES)]
    finally:
        optuna.logging.set_verbosity(verbosity)
    chance = {n: float(np.quantile([result[n] for result in shuffled], 0.95)) for n in names}
    return raw, chance
