"""A search's last act: its best trials are trained again with fresh seeds, beside where it began.

The best of many noisy trials looks better than it is. So the finalists and the best of the space's
own starting points are trained again with seeds that the search did not use. The winner has the
best mean over all its seeds; by how much it leads is told by the fresh seeds alone, by which nobody
became a finalist, with an interval over validation faces and seeds. "No better than the starting
point" is a result. A trial that diverges or fails with a fresh seed comes after all that do not.
The trainings stand in a study of their own, in the search's journal.
"""

import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tune import cluster
from tune.cluster.storage import join_uri
from tune.console.lines import metrics_line
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import Callback
from tune.execution.session import SearchSession, interruptible
from tune.execution.trainable import TrialJob, face_trainable
from tune.records.confirmation import Confirmation, Confirmed, Lead
from tune.records.trials import TrialRecord, objective_values, pareto_front, rank_complete
from tune.spaces.objectives import SCORE, Metrics, judged_metric
from tune.study.sources import GivenTrial
from tune.study.store import CONFIRM_STUDY
from tune.study.study import GivenStudy
from utkface.evaluation.bootstrap import Bootstrap, percentile_interval, resample_seeds
from utkface.metrics import per_face_metrics

#: Fresh seeds are so far from the search's own.
SEED_OFFSET = 1000


class FreshSeed(GivenTrial):
    """A trial of the search, by its number, to be trained again with a seed of its own."""

    trial: int
    seed: int


class ConfirmationLines(Callback):
    """Says how each training with a fresh seed ended."""

    def __init__(self, confirmation: GivenStudy[FreshSeed], say: Callable[[str], None]) -> None:
        self._confirmation, self._say = confirmation, say

    def trial_retried(self, number: int, reason: str) -> None:
        """Say that a training is tried again, and why."""
        self._say(f"{self._title(number)} is tried again in a fresh worker: {reason}")

    def trial_ended(self, record: TrialRecord) -> None:
        """Say what a training reached."""
        ending = f" has no result: {record.reason}"
        if record.state == "COMPLETE":
            ending = f": {metrics_line(record.epochs[-1], self._confirmation.objectives)}"
        self._say(f"{self._title(record.number)}{ending}")

    def _title(self, number: int) -> str:
        point = self._confirmation.given[number]
        return f"trial {point.trial} with seed {point.seed}"


def choose(
    records: Sequence[TrialRecord], objectives: tuple[str, ...], num_finalists: int
) -> list[TrialRecord]:
    """Return the trials to train again: the best few, and the best starting point of the space.

    Of several objectives, the first few of the Pareto front. A starting point that was stopped
    early takes part all the same: it is what the search has to beat.
    """
    is_one = len(objectives) == 1
    best = (rank_complete if is_one else pareto_front)(records, objectives)[:num_finalists]
    starts = [
        record
        for record in records
        if record.is_starting_point
        and record.state in ("COMPLETE", "PRUNED")
        and record.epochs
        and not record.diverged
    ]
    if best and starts:
        by = objectives if is_one else SCORE  # of several the score decides, as everywhere
        start = min(starts, key=lambda r: (-len(r.epochs), objective_values(r, by)))
        best += [] if start in best else [start]
    return best


def open_confirmation(
    journal: Path,
    chosen: Sequence[TrialRecord],
    fixed: Mapping[str, int],
    objectives: tuple[str, ...],
    num_seeds: int,
) -> GivenStudy[FreshSeed]:
    """Open the study of the trials that are trained again; it may hold some of them already.

    One that failed is tried once more, one that diverged would do so again. What was begun goes on,
    also of a trial that an extended search no longer chooses; nothing more of it is begun.
    """
    confirmation = GivenStudy(journal, FreshSeed, fixed, kind=CONFIRM_STUDY, objectives=objectives)
    points = confirmation.given
    begun = {record.number for record in confirmation.records()}
    wanted = {record.number for record in chosen}
    confirmation.withdraw(
        {n for n, point in enumerate(points) if n not in begun and point.trial not in wanted}
    )
    failed = {record.number for record in confirmation.records() if record.state == "FAIL"}
    known = {(p.trial, p.seed) for number, p in enumerate(points) if number not in failed}
    first_seed = fixed["seed"] + SEED_OFFSET
    for record in chosen:
        for seed in range(first_seed, first_seed + num_seeds):
            if (record.number, seed) not in known:
                config = {**record.config, "seed": seed}
                confirmation.give(FreshSeed(trial=record.number, seed=seed, config=config))
    return confirmation


def confirmation_store(checkpoints: CheckpointStore) -> CheckpointStore:
    """Return where the trials that are trained again keep their states: they have own numbers."""
    return CheckpointStore(join_uri(checkpoints.uri, CONFIRM_STUDY))


#: By seed: a number per face (N,) of each metric that is a mean over faces.
_Losses = dict[int, dict[str, np.ndarray]]


def compare(
    chosen: Sequence[TrialRecord],
    confirmation: GivenStudy[FreshSeed],
    checkpoints: CheckpointStore,
    labels: Mapping[str, np.ndarray],
) -> Confirmation | None:
    """Return what training again showed; None where no trial could be trained again.

    ``labels``: "age" in years, "gender" and "group" of copies, each (N,), of the validation faces.
    """
    store, objectives = confirmation_store(checkpoints), confirmation.objectives
    fresh: dict[int, dict[int, Metrics]] = defaultdict(dict)  # last metrics by trial and seed
    losses: dict[int, _Losses] = defaultdict(dict)  # of those whose predictions are here
    for record in confirmation.records():
        if record.state == "COMPLETE":
            point = confirmation.given[record.number]
            fresh[point.trial][point.seed] = record.epochs[-1]
            if predictions := store.load_predictions(record.number):
                losses[point.trial][point.seed] = per_face_metrics(
                    labels["age"], labels["gender"], *predictions
                )
    trials = []
    for record in chosen:
        if record.number in fresh:
            is_whole = record.state == "COMPLETE"
            own = {confirmation.fixed["seed"]: record.epochs[-1]} if is_whole else {}
            trials.append(_summarise(record, own | fresh[record.number], objectives))
    if not trials:
        return None

    def place(trial: Confirmed) -> tuple[int, float, int]:
        # Of several objectives none comes first; people compare by the score.
        value = trial.score if len(objectives) > 1 else trial.values[objectives[0]]
        return -len(fresh[trial.trial]), value, trial.trial

    winner, *others = sorted(trials, key=place)
    # What decided, if it is a mean over faces, and what people read.
    leads = [
        _paired_lead(losses, winner.trial, other.trial, metric, labels["group"])
        for metric in dict.fromkeys([judged_metric(objectives), "score"])
        for other in others
    ]
    return Confirmation(trials=[winner, *others], leads=[lead for lead in leads if lead])


def _summarise(
    record: TrialRecord, by_seed: Mapping[int, Metrics], objectives: Sequence[str]
) -> Confirmed:
    def mean(name: str) -> float:
        return float(np.mean([metrics[name] for metrics in by_seed.values()]))

    return Confirmed(
        trial=record.number,
        is_starting_point=record.is_starting_point,
        seeds=list(by_seed),
        values={name: mean(name) for name in objectives},
        score=mean("score"),
        age_mae=mean("age_mae"),
        gender_accuracy=mean("gender_accuracy"),
    )


def _paired_lead(
    losses: Mapping[int, _Losses], winner: int, over: int, metric: str, groups: np.ndarray
) -> Lead | None:
    """Return by how much lower a metric is of trial ``winner`` than of trial ``over``.

    Resampled are groups of copies of the faces, and the seeds, the same for both: what is hard
    about a face, and what is lucky about a seed, is so for both of them; a single seed leaves want
    of faces alone. None where they share no seed, or the metric is no mean over faces.
    """
    differences = np.array(
        [
            losses[over][seed][metric] - per_face[metric]
            for seed, per_face in losses[winner].items()
            if seed in losses[over] and metric in per_face
        ]
    )  # (seeds, N)
    if not len(differences):
        return None
    means = Bootstrap(groups).sample_means(differences)  # (seeds, resamples)
    low, high = percentile_interval(resample_seeds(means))
    return Lead(over=over, metric=metric, value=float(differences.mean()), low=low, high=high)


def train_again(
    confirmation: GivenStudy[FreshSeed],
    folder: Path,
    job: TrialJob,
    resources: cluster.Resources,
    say: Callable[[str], None],
    time_budget_s: float | None = None,
) -> SearchSession:
    """Train what is not trained yet, in the search's run folder; return the session that did."""
    points, store = confirmation.given, confirmation_store(job.checkpoints)
    told = ConfirmationLines(confirmation, say)
    session = SearchSession(confirmation, len(points), [told], store, replace_failed=False)
    if session.has_more:
        ended = {r.number for r in confirmation.records() if r.state != "RUNNING"}
        left = [point for number, point in enumerate(points) if number not in ended]
        trials = ", ".join(dict.fromkeys(str(point.trial) for point in left))
        seeds = " and ".join(map(str, sorted({point.seed for point in left})))
        say(f"trained again with seeds {seeds} (--no-confirm skips it): trial {trials}")
        with interruptible(session, time_budget_s):
            job = dataclasses.replace(job, checkpoints=store)
            run_trials(face_trainable(job), folder, session, resources, name="ray-confirm")
    unfinished = {record.number for record in confirmation.records() if record.state == "RUNNING"}
    with contextlib.suppress(OSError):  # what is left over takes room and does no other harm
        store.keep_only(unfinished, set(range(len(points))))
    return session
