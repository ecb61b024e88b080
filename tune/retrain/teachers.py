"""Teachers: runs of ``--folds`` whose predictions are targets, and why some may not teach.

A teacher that was trained on a face, or on a copy of it, knows its label: what it says of that face
is no second opinion. So each face has the prediction of models that left its fold out, and a run in
which that does not hold is refused.

Distillation: Hinton, Vinyals and Dean, 2015, https://arxiv.org/abs/1503.02531
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tune.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from tune.records.retrain import RetrainRecord
from tune.records.run_folder import RetrainFolder
from tune.retrain.models import training_rows
from tune.retrain.plan import Plan
from utkface.batches import Teacher
from utkface.data import Split
from utkface.evaluation.cache import content_digest
from utkface.io import UV_RUN, UserError
from utkface.model import NUM_AGES

_RETRAIN = f"{UV_RUN}python tune/retrain_best.py"


def load_teachers(plan: Plan) -> dict[str, Teacher]:
    """Return, by protocol, the mean of what a plan's teachers say of the training faces.

    Empty where it names none. Raises `UserError` for a teacher that may not teach these faces, with
    the reason.
    """
    names = dict.fromkeys(plan.options.teacher or ())
    if not names:
        return {}
    found = [(name, _read(plan, name)) for name in names]
    teachers = {}
    for protocol, split in plan.splits.items():
        said = [
            _select(name, run, plan.faces.table, split, plan.options.part) for name, run in found
        ]
        teachers[protocol] = Teacher(
            age_distribution=np.mean([each.age_distribution for each in said], axis=0),
            gender_probability=np.mean([each.gender_probability for each in said], axis=0),
        )
    return teachers


def refuse_other_teachers(record: RetrainRecord, taught: Mapping[str, Teacher]) -> None:
    """Note in the record what its models are taught by; raises `UserError` if it was another thing.

    A run of folds can be extended, and half of the pupils would then have learned something else.
    """
    said = {
        protocol: content_digest(teacher.age_distribution, teacher.gender_probability)
        for protocol, teacher in taught.items()
    }
    if record.teachers and record.teachers != said:
        names = " and ".join(record.options.teacher or ())
        raise UserError(
            f"--teacher {names} says other things than when {record.name} began; bring its "
            f"{OUT_OF_FOLD} of then back, or start a new retraining"
        )
    record.teachers = said


def _read(plan: Plan, name: str) -> OutOfFold:
    """Return all that a run says out of fold, of these very faces."""
    folder, faces = RetrainFolder.find(plan.options.results, name), plan.faces
    record, path = folder.record, folder.path / OUT_OF_FOLD
    if not path.is_file():
        if record.options.folds:
            how = f"finish it with {_RETRAIN} --resume {name}"
        else:
            how = f"make a teacher with {_RETRAIN} --folds 5 and that run's --search or --config"
        raise UserError(f"--teacher {name} has no {OUT_OF_FOLD}; {how}")
    if record.data.fingerprint != faces.fingerprint:
        raise UserError(
            f"--teacher {name} saw {record.data.num_faces} faces from {record.data.source}, but "
            f"{faces.source} holds {len(faces.table)} others or changed ones; give the same faces "
            "with --data, or make a teacher of these"
        )
    return OutOfFold.read(path)


def _select(name: str, run: OutOfFold, table: pd.DataFrame, split: Split, part: str) -> Teacher:
    """Return what a run says of the faces that are trained on under a split before a part."""
    protocol, there = split.protocol, run.table
    is_chosen = ((there["protocol"] == protocol) & (there["part"] == part)).to_numpy()
    chosen = there[is_chosen]
    if chosen.empty:
        has = " and ".join(
            f"--splits {protocol} --part {part}"
            for protocol, part in there[["protocol", "part"]]
            .drop_duplicates()
            .itertuples(index=False)
        )
        raise UserError(
            f"--teacher {name} was made with {has}, not with --splits {protocol} --part {part}; "
            "ask for what it has, or make another"
        )
    if set(chosen["split_hash"]) != {split.hash}:
        raise UserError(
            f"--teacher {name} was made with another {protocol} split of these faces; make one "
            f"with {_RETRAIN} --folds"
        )
    # These faces and this split are the teacher's own, so it names no others.
    rows = pd.Series(np.arange(len(table)), index=table["file"])[chosen["file"]].to_numpy()
    _refuse_missing(name, rows, table, training_rows(split, part)[0])
    _refuse_seen(name, rows, chosen["fold"].to_numpy(), table)
    ages = np.full((len(table), NUM_AGES), np.nan, dtype=np.float32)
    genders = np.full(len(table), np.nan, dtype=np.float32)
    ages[rows] = run.age_distribution[is_chosen]
    genders[rows] = chosen["gender_probability"]
    return Teacher(age_distribution=ages, gender_probability=genders)


def _refuse_missing(name: str, rows: np.ndarray, table: pd.DataFrame, train: np.ndarray) -> None:
    """Raise `UserError` where a training face has no prediction."""
    missing = np.setdiff1d(train, rows)
    if len(missing):
        raise UserError(
            f"--teacher {name} says nothing of {len(missing)} of {len(train)} training faces, "
            f"{table['file'].iloc[missing[0]]} among them; let what failed be trained again with "
            f"{_RETRAIN} --resume {name}, or, if models diverged, make another teacher"
        )


def _refuse_seen(name: str, rows: np.ndarray, fold: np.ndarray, table: pd.DataFrame) -> None:
    """Raise `UserError` where copies of a face are in several folds.

    The models that predict one of them were trained on the other.
    """
    copies = pd.DataFrame({"group": table["group"].to_numpy()[rows], "fold": fold, "row": rows})
    num_folds = copies.groupby("group")["fold"].transform("nunique")
    seen = copies[num_folds > 1]
    if len(seen):
        files = table["file"].to_numpy()
        first = seen[seen["group"] == seen["group"].iloc[0]]
        face, copy = (
            first["row"].iloc[0],
            first[first["fold"] != first["fold"].iloc[0]]["row"].iloc[0],
        )
        raise UserError(
            f"--teacher {name} has seen {files[face]}: its models that predict this face were "
            f"trained on a copy of it, {files[copy]}; make another with {_RETRAIN} --folds"
        )
