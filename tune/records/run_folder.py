"""The run folder: what a search writes and everything after it reads.

results/<space>-<date>-<time>/
    search.json     what was asked: command, options, seed, versions, hardware, data, commit
    study.journal   every suggestion, epoch and ending (Optuna); the truth
    space.py        the search space as it was
    trials.csv      one row per trial, rebuilt from the study at any time,
    best.json       as are the best configurations
    report.html     and the report: figures and tables
    data/           rejected files, copies with conflicting labels, the split
    checkpoints/    states of unfinished trials and of the best (or under --storage), and what
                    complete trials predict for the validation faces
    ray/            what Ray Tune logs; for TensorBoard: ray/trial_NNNN/events.out.tfevents.*
    wandb/          W&B's runs, one folder for each session, and copies of what is yet to be sent
    backup/         second copies of search.json and study.journal, used where the first is damaged

results/retrain-<search>-<date>-<time>/
    study.journal        every model to train, every epoch and ending (Optuna); the truth
    retrain.json         what was asked, by whom it was trained, and every model's epochs
    evaluation.json      every number of the evaluation, and model_card.md,
    evaluation.html      the same for people (embeds faces: stays on this machine),
    figures/             its figures without faces
    model.pt             the headline configuration's first model, for `utkface.predict`
    models/              all models
    predictions.parquet  one row per face and model
    sheets/              LIME sheets (faces: stay on this machine)
    checkpoints/, data/, ray/, wandb/  as in a search's folder

results/folds-<search>-<date>-<time>/  of --folds: the same up to retrain.json, and
    out_of_fold.parquet  one row per training face and protocol, for --teacher
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final, Generic, Self, TypeVar

from tune.records.confirmation import Confirmation, confirmed_first
from tune.records.files import BACKUP, Record, RunRecord, cannot_write
from tune.records.retrain import Best, BestRecord, RetrainRecord
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord, pareto_front, rank_complete, trials_table
from tune.spaces.objectives import SCORE
from utkface.io import UV_RUN, UserError, replacing

NUM_FINALISTS = 5
FINISHED: Final = "finished"
INTERRUPTED: Final = "interrupted"
RUNNING: Final = "running"
FAILED: Final = "failed"


R = TypeVar("R", bound=RunRecord)


class RunFolder(Generic[R]):
    """The folder of a run; `create` makes a new one, `find` opens one that is there."""

    RECORD: ClassVar[str]
    RECORD_TYPE: type[R]
    KIND: ClassVar[str]
    HOW_TO_START: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @classmethod
    def create(cls, results: Path, space_name: str) -> Self:
        """Make a folder named after the space and the time, distinct from any other.

        Raises `UserError` when ``results`` cannot be written.
        """
        name = f"{space_name}-{datetime.now():%Y%m%d-%H%M%S}"
        try:
            results.mkdir(parents=True, exist_ok=True)
            for suffix in ["", *(f"-{i}" for i in range(2, 100))]:
                path = results / (name + suffix)
                with contextlib.suppress(FileExistsError):  # of a run that began in this second
                    path.mkdir()
                    return cls(path)
        except OSError as error:
            raise UserError(
                f"cannot write to {results}: {error.strerror or error}; "
                "free it, or name another folder with --results"
            ) from error
        raise UserError(f"{results} holds 99 runs named {name}; start again in a second")

    @classmethod
    def find(cls, results: Path, name: str = "") -> Self:
        """Open a run by path or by name under ``results``; without a name, one's own newest.

        Raises `UserError` where there is no such run.
        """
        if name:
            for path in (Path(name), results / name):
                if (path / cls.RECORD).is_file():
                    return cls(path)
            raise UserError(
                f"there is no {cls.KIND} at {name!r}, nor in {results}; "
                f"give one of: {', '.join(cls.names(results)) or 'none has been made yet'}"
            )
        folders = cls.own(results)
        if not folders:
            raise UserError(f"there is no {cls.KIND} of yours in {results} yet; {cls.HOW_TO_START}")
        return folders[-1]

    @classmethod
    def own(cls, results: Path) -> list[Self]:
        """Return the runs that were made here, the newest last: not those that came with the code.

        Those are summaries alone, without what a run goes on from.
        """
        created = {}
        for folder in (cls(results / name) for name in cls.names(results)):
            if folder.has_journal:
                try:
                    created[folder] = _Created.read(folder.path / cls.RECORD).created
                except UserError as error:
                    print(f"note: {folder.path.name} is left out: {error}", file=sys.stderr)
        return sorted(created, key=lambda folder: created[folder])

    @classmethod
    def names(cls, results: Path) -> list[str]:
        """Return the names of the runs under a results folder, in alphabetical order."""
        return sorted(path.parent.name for path in results.glob(f"*/{cls.RECORD}"))

    @property
    def journal(self) -> Path:
        """The study's file."""
        return self.path / "study.journal"

    @property
    def record(self) -> R:
        """What is recorded of the run; raises `UserError` that names the field that is wrong."""
        return self.RECORD_TYPE.read(self.path / self.RECORD)

    @property
    def has_journal(self) -> bool:
        """Whether the journal is there, or its second copy, which stands in for a lost one."""
        return self.journal.is_file() or (self.path / BACKUP / self.journal.name).is_file()

    def refuse_without_journal(self, *, has_results: bool) -> None:
        """Raise `UserError` for results whose study is not here: all would be trained again.

        And the results would be overwritten.
        """
        if has_results and not self.has_journal:
            raise UserError(
                f"{self.path} has no {self.journal.name}, from which it would go on; copy the run "
                "whole, or start a new one"
            )

    def write_record(self, record: R) -> None:
        """Write the record, and a copy."""
        for name in (self.RECORD, f"{BACKUP}/{self.RECORD}"):
            record.write(self.path / name)

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the run, whole or not at all."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(text)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep the run to this process; raises `UserError` where another one has it.

        The kernel drops the lock with the process, however that ends.
        """
        try:
            file = (self.path / ".lock").open("a+b", buffering=0)
        except OSError as error:
            raise cannot_write(self.path, error, self.path.name) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UserError(
                    f"{self.path.name} is in use by process {file.read().decode() or '?'}; "
                    "wait for it to end, or stop it"
                ) from None
            with contextlib.suppress(OSError):  # a full disk: what matters next will tell
                file.truncate(0)
                file.write(str(os.getpid()).encode())
            for pattern in (".*.tmp", "*/.*.tmp"):  # half-written by a process that was killed
                for left in self.path.glob(pattern):
                    shutil.rmtree(left, ignore_errors=True)
            yield


class _Created(Record):
    created: str


class SearchFolder(RunFolder[SearchRecord]):
    """One search's folder."""

    RECORD, RECORD_TYPE = "search.json", SearchRecord
    KIND, HOW_TO_START = "search", "start one with --space"

    @property
    def best(self) -> Path:
        """The file of the best configurations, there once a trial is complete."""
        return self.path / "best.json"

    def write_tables(
        self,
        records: list[TrialRecord],
        objectives: tuple[str, ...] = SCORE,
        confirmation: Confirmation | None = None,
    ) -> None:
        """Write ``trials.csv`` and, where a trial is complete, ``best.json``.

        The finalists are the best few trials, of several objectives the whole Pareto front; those
        that were trained again come first, in the order of their means over seeds.
        """
        self.write_text("trials.csv", trials_table(records).to_csv(index=False))
        if len(objectives) == 1:
            ranking, order = rank_complete(records, objectives)[:NUM_FINALISTS], objectives[0]
        else:
            ranking = pareto_front(records, objectives)
            order = f"the Pareto front of {', '.join(objectives)}, by score"
        if not ranking:
            return
        again = {trial.trial: trial for trial in confirmation.trials} if confirmation else {}
        finalists = []
        for record in confirmed_first(ranking, records, confirmation):
            confirmed, last = again.get(record.number), record.epochs[-1]
            score = confirmed.score if confirmed else last["score"]
            finalists.append(
                Best(
                    trial=record.number, score=score, metrics=last, config=record.config,
                    confirmed=confirmed,
                )
            )  # fmt: skip
        BestRecord(**dict(finalists[0]), order=order, finalists=finalists).write(self.best)


class RetrainFolder(RunFolder[RetrainRecord]):
    """One retraining's folder."""

    RECORD, RECORD_TYPE = "retrain.json", RetrainRecord
    KIND, HOW_TO_START = "retraining", "start one with tune/retrain_best.py"


def sync_command(folder: Path, *, include_online: bool = False) -> str:
    """Return the command that sends what W&B keeps in a run folder and does not have yet.

    Runs of one trial, of a search that was resumed, are sent in the order of their beginning and
    become one; what was sent already is left out. ``include_online`` takes in runs that were begun
    online and could not be sent to their end.
    """
    option = "--include-online " if include_online else ""
    return f"{UV_RUN}wandb sync {option}{shlex.quote(str(folder / 'wandb'))}"


def retrain_command(folder: Path) -> str:
    """Return the command that trains a search's best at the size that they are worth."""
    return f"{UV_RUN}python tune/retrain_best.py --search {shlex.quote(str(folder))}"
