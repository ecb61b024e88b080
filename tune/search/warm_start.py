"""``--warm-start``: begin with what earlier searches learned, as far as it is true of the new one.

An earlier trial is of use if the new space could have suggested its parameters; they are read from
its whole configuration, so that a value counts whether it was searched there or constant.

- Where all else is equal too (faces, split, image size, epochs, first weights, constants), its
  scores are those that it would have here, but for the seed. They become known to the sampler, and
  to nothing else: no trial of another search is counted, judged at a rung or called best.
- Otherwise its scores mean nothing here, but its parameters may: the best few are tried first.

What was taken is part of ``search.json``, so that a search can be resumed without its forerunners.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from tune.records.provenance import refuse_other_training
from tune.records.search import KnownTrial, TriedFirst, WarmStart
from tune.records.trials import TrialRecord, rank_complete
from tune.search.prepare import Prepared
from tune.spaces.objectives import Settings
from tune.spaces.space import Space
from tune.study.past_runs import PastRun, read_run
from utkface.config import SET_BY_COMMAND, TrainConfig
from utkface.io import UserError

#: At most so many configurations of earlier searches are tried first.
NUM_POINTS = 3
_NUM_NAMES = 4  # of fields that are listed by name


def read_runs(results: Path, names: str | None) -> list[PastRun]:
    """Read the runs of ``--warm-start``, names or paths with commas between them.

    Raises `UserError` for one that is not there or cannot be read, or is named twice.
    """
    runs = [read_run(results, name.strip()) for name in (names or "").split(",") if name.strip()]
    if names is not None and not runs:
        raise UserError(f"--warm-start {names!r} names no run; give one or more, as in RUN,RUN")
    for run in runs:
        refuse_other_training(run.search, "leave it out of --warm-start")
    for name, count in Counter(run.name for run in runs).items():
        if count > 1:
            raise UserError(f"--warm-start names {name} twice; give each run once")
    return runs


def plan_warm_start(runs: Sequence[PastRun], prepared: Prepared) -> WarmStart:
    """Return what the trials of ``runs`` are good for in a new search."""
    earlier = []
    for run in runs:
        differences = run.search.conditions.differences(prepared.conditions)
        if prepared.options.sampler == "random":
            differences.append("the random sampler learns from no other search")
        earlier.append(_EarlierRun(run, prepared, differences))
    known = [entry for each in earlier for entry in each.known]
    points = _choose_points(earlier, prepared.space, [trial.params for trial in known])
    notes = [line for each in earlier for line in each.notes(points)]
    return WarmStart(runs=[run.name for run in runs], known=known, points=points, notes=notes)


class _EarlierRun:
    """The trials of one earlier search, by what they are good for."""

    def __init__(self, run: PastRun, prepared: Prepared, differences: list[str]) -> None:
        self.run, self._prepared, self._differences = run, prepared, differences
        self.known: list[KnownTrial] = []
        self.candidates: list[TriedFirst] = []  # best first
        self._refused: dict[str, str] = {}  # by what it is about: an example of each
        self._constants: list[str] = []  # that differ
        self._counts: Counter[str] = Counter()
        objectives = prepared.options.objectives
        self._metrics = list(dict.fromkeys(["epoch", "score", *objectives]))
        ranked = rank_complete(run.records, objectives)
        stopped = [record for record in run.records if record.state == "PRUNED"]
        self._counts["unusable"] = len(run.records) - len(ranked) - len(stopped)
        for record in [*ranked, *stopped]:
            self._sort(record)

    def _sort(self, record: TrialRecord) -> None:
        if not record.config:
            self._counts["unusable"] += 1
            return
        try:
            theirs = TrainConfig.from_dict(record.config).to_dict()
            fit = self._prepared.space.fit(theirs, self._prepared.options.fixed)
        except UserError as error:
            self._counts["refused"] += 1
            self._refused.setdefault(str(error).split("=")[0], str(error))
            return
        ours = fit.config.to_dict()
        constants = [n for n in ours if n not in SET_BY_COMMAND and ours[n] != theirs[n]]
        self._constants += [name for name in constants if name not in self._constants]
        self._counts["other constants"] += bool(constants)
        earlier: dict[str, Any] = {
            "run": self.run.name,
            "trial": record.number,
            "params": fit.params,
        }
        if not constants and not self._differences:
            # One that diverged has no curve here, which the sampler takes for the worst of all.
            curve = [] if record.diverged else record.epochs
            epochs = [{name: epoch[name] for name in self._metrics} for epoch in curve]
            self.known.append(KnownTrial(**earlier, state=record.state, epochs=epochs))
        elif record.state == "COMPLETE":
            assert record.score is not None
            self.candidates.append(TriedFirst(**earlier, score=record.score))
        else:
            self._counts["stopped"] += 1

    def notes(self, points: Sequence[TriedFirst]) -> list[str]:
        """Say in a few lines what was taken and what was not."""
        lines = []
        if self.known:
            complete = sum(trial.state == "COMPLETE" for trial in self.known)
            lines.append(
                f"{len(self.known)} trials known to the sampler, {complete} of them complete"
            )
        tried = [point for point in points if point.run == self.run.name]
        if tried:
            trials = ", ".join(f"trial {p.trial} ({p.score:.4g} there)" for p in tried)
            lines.append(f"tried first, without their scores: the parameters of {trials}")
        counts, examples = self._counts, _some(list(self._refused.values()))
        left_out = {
            f"that this space would not suggest ({examples})": counts["refused"],
            "no better than what is tried first, or the same": len(self.candidates) - len(tried),
            "stopped early, whose scores do not count": counts["stopped"],
            "failed, unfinished or without their settings": counts["unusable"],
        }
        if any(left_out.values()):
            reasons = [f"{count} {reason}" for reason, count in left_out.items() if count]
            lines.append("not taken: " + "; ".join(reasons))
        if self._differences and (self.candidates or counts["stopped"]):
            lines.append(f"none of its scores count here: {'; '.join(self._differences)}")
        if self._constants:
            lines.append(
                f"other constants in {counts['other constants']} of its trials, whose scores do "
                f"not count: {_some(self._constants)}"
            )
        return [f"{self.run.name}: {lines[0] if lines else 'it holds no trial'}", *lines[1:]]


def _choose_points(
    earlier: Sequence[_EarlierRun], space: Space, known: list[Settings]
) -> list[TriedFirst]:
    """Return the best few distinct candidates, in turn from each run: scores may not compare."""
    seen = [*known, *(space.split_point(point)[0] for point in space.points)]
    chosen: list[TriedFirst] = []
    for rank in zip_longest(*(each.candidates for each in earlier)):
        for candidate in filter(None, rank):
            if len(chosen) < NUM_POINTS and candidate.params not in seen:
                seen.append(candidate.params)
                chosen.append(candidate)
    return chosen


def known_trials(warm_start: WarmStart, prepared: Prepared) -> list[FrozenTrial]:
    """Return the trials for the sampler, with the last value of each objective."""
    options, objectives = prepared.options, prepared.options.objectives
    trials = []
    for trial in warm_start.known:
        fit = prepared.space.fit(trial.params, options.fixed)
        # As in the study, where Optuna takes no value of an epoch for one of several objectives.
        curve = trial.epochs if len(objectives) == 1 else []
        complete = trial.state == "COMPLETE"
        trials.append(
            create_trial(
                state=TrialState[trial.state],
                values=[trial.epochs[-1][name] for name in objectives] if complete else None,
                params=fit.params,
                distributions=fit.distributions,
                intermediate_values={int(e["epoch"]): e[objectives[0]] for e in curve},
            )
        )
    return trials


def _some(texts: list[str]) -> str:
    more = len(texts) - _NUM_NAMES
    return ", ".join(texts[:_NUM_NAMES]) + (f" and {more} more" if more > 0 else "")
