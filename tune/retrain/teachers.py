"""Teachers: runs of ``--folds``, whose predictions are targets for other models.

A teacher that was trained on a face, or on a copy of it, knows its label: what it says of that face
is no second opinion. So each face has the prediction of models that left its fold out, and a run in
which that does not hold is refused.

Distillation: Hinton, Vinyals and Dean, 2015, https://arxiv.org/abs/1503.02531
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from tune.console import labelled
from tune.console.lines import estimates_line
from tune.execution.checkpoints import CheckpointStore
from tune.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from tune.records.retrain import ModelRecord, RetrainRecord
from tune.records.run_folder import RetrainFolder
from tune.report.facts import from_here
from tune.retrain.plan import Plan, training_rows
from tune.retrain.predictions import load_trained
from utkface.batches import Teacher, map_on_cores, to_device
from utkface.data import Split
from utkface.evaluation.bootstrap import Bootstrap, estimate
from utkface.evaluation.cache import content_digest
from utkface.evaluation.metrics import MEAN_METRICS, per_face_terms
from utkface.io import UV_RUN, UserError, progress_bar
from utkface.model import NUM_AGES, FaceModel, PixelModel, prediction_batch_size
from utkface.predictor import find_device

_RETRAIN = f"{UV_RUN}python tune/retrain_best.py"


def teach(
    plan: Plan,
    folder: RetrainFolder,
    record: RetrainRecord,
    trained: Sequence[ModelRecord],
    checkpoints: CheckpointStore,
) -> list[str]:
    """Write what the models say of the faces they left out; return lines to print.

    The models themselves stay in the checkpoints: nobody is to predict with them.
    """
    found = []
    with progress_bar("Predicting", len(trained)) as advance:
        for protocol in plan.splits:
            models = [model for model in trained if model.job.protocol == protocol]
            if models:
                found.append(_mean_out_of_fold(plan, protocol, models, checkpoints, advance))
    tables = [of_protocol.table for of_protocol in found]
    distributions = np.concatenate([of_protocol.age_distribution for of_protocol in found])
    path = folder.path / OUT_OF_FOLD
    OutOfFold(pd.concat(tables, ignore_index=True), distributions).write(path)
    command = f"{_RETRAIN} --teacher {shlex.quote(str(from_here(folder.path)))}"
    return [*map(_summary, tables), labelled("teacher", path), labelled("use it", command)]


class Said(NamedTuple):
    """What a model says of N faces."""

    age_distribution: np.ndarray  # (N, NUM_AGES)
    age_years: np.ndarray  # (N,) by the estimate that the model was configured for
    gender_probability: np.ndarray  # (N,) of being female


def predict_distributions(
    model: FaceModel, images: np.ndarray, rows: np.ndarray, *, flip: bool, device: torch.device
) -> Said:
    """Return what a model says of some rows of the images (N, S, S, 3).

    flip: the mean of that for each face and for its mirror image.
    """
    pixel_model = PixelModel(model).to(device)
    size = prediction_batch_size(images.shape[1], device)

    @torch.inference_mode()
    def answers(start: int) -> Said:
        pixels = to_device(np.take(images, rows[start : start + size], 0), device)
        looks = [pixels, pixels.flip(2)] if flip else [pixels]  # (B, S, S, 3)
        answered = []
        for look in looks:
            outputs = pixel_model.outputs(look.permute(0, 3, 1, 2))
            distribution = outputs.age_output.softmax(dim=1)
            answered.append((distribution, model.ages(outputs), model.gender_probability(outputs)))
        of_looks = zip(*answered, strict=True)
        return Said(*(torch.stack(each).mean(dim=0).cpu().numpy() for each in of_looks))

    batches = map_on_cores(answers, range(0, len(rows), size), device)
    return Said(*(np.concatenate(part) for part in zip(*batches, strict=True)))


def _mean_out_of_fold(
    plan: Plan,
    protocol: str,
    models: Sequence[ModelRecord],
    checkpoints: CheckpointStore,
    advance: Callable[[int], None],
) -> OutOfFold:
    """Return the mean of what models say of the folds that they left out, of all such faces."""
    device, num_faces = find_device("auto"), len(plan.faces.table)
    sums = Said(np.zeros((num_faces, NUM_AGES)), np.zeros(num_faces), np.zeros(num_faces))
    num_models, folds = np.zeros(num_faces, dtype=np.int64), np.full(num_faces, -1)
    for record in models:
        fold = record.job.fold
        assert fold is not None
        rows = plan.fold_rows(protocol, fold)
        said = predict_distributions(
            load_trained(record.job, checkpoints), plan.faces.images, rows,
            flip=plan.options.flip, device=device,
        )  # fmt: skip
        for total, values in zip(sums, said, strict=True):
            total[rows] += values
        num_models[rows] += 1
        folds[rows] = fold
        advance(1)
    rows = np.flatnonzero(num_models)
    means = Said(*((total[rows].T / num_models[rows]).T.astype(np.float32) for total in sums))
    table = plan.faces.table.iloc[rows][["file", "group", "age", "gender"]].reset_index(drop=True)
    table = table.assign(
        protocol=protocol,
        part=plan.options.part,
        split_hash=plan.splits[protocol].hash,
        fold=folds[rows],
        num_models=num_models[rows],
        age_years=means.age_years,
        gender_probability=means.gender_probability,
    )
    return OutOfFold(table, means.age_distribution)


def _summary(table: pd.DataFrame) -> str:
    """Return how good the predictions for one protocol's faces are, with 95 % intervals."""
    age, gender, group = (table[name].to_numpy(np.int64) for name in ("age", "gender", "group"))
    years, female = (
        table[name].to_numpy(np.float64) for name in ("age_years", "gender_probability")
    )
    rows = [MEAN_METRICS.index(name) for name in ("age_mae", "gender_accuracy")]
    terms = per_face_terms(age, gender, years, female)[rows]
    found = map(estimate, terms.mean(axis=1), Bootstrap(group).sample_means(terms))
    low, high = table["num_models"].min(), table["num_models"].max()
    count = f"{low} to {high} models" if low < high else f"{high} model{'s' * int(high != 1)}"
    first = table.iloc[0]
    return (
        f"{first['protocol']} split, before {first['part']}: {len(table):,} training faces out of "
        f"fold, {count} each: {estimates_line(*found)}"
    )


def load_teachers(plan: Plan) -> dict[str, Teacher]:
    """Return, by protocol, the mean of what a plan's teachers say of the training faces.

    Empty where it names none. Raises `UserError` for a teacher that may not teach these faces, with
    the reason.
    """
    found = [(name, _read(plan, name)) for name in dict.fromkeys(plan.options.teacher or ())]
    if not found:
        return {}
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
        how = f"make a teacher with {_RETRAIN} --folds 5 and that run's --search or --config"
        if record.options.folds:
            how = f"finish it with {_RETRAIN} --resume {name}"
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
    there = run.table
    is_chosen = ((there["protocol"] == split.protocol) & (there["part"] == part)).to_numpy()
    chosen = there[is_chosen]
    if chosen.empty:
        pairs = there[["protocol", "part"]].drop_duplicates().itertuples(index=False)
        has = " and ".join(f"--splits {protocol} --part {of}" for protocol, of in pairs)
        raise UserError(
            f"--teacher {name} was made with {has}, not with --splits {split.protocol} --part "
            f"{part}; ask for what it has, or make another"
        )
    if set(chosen["split_hash"]) != {split.hash}:
        raise UserError(
            f"--teacher {name} was made with another {split.protocol} split of these faces; make "
            f"one with {_RETRAIN} --folds"
        )
    # These faces and this split are the teacher's own, so it names no others.
    rows = pd.Series(np.arange(len(table)), index=table["file"])[chosen["file"]].to_numpy()
    train, _ = training_rows(split, part)
    missing = np.setdiff1d(train, rows)
    if len(missing):
        raise UserError(
            f"--teacher {name} says nothing of {len(missing)} of {len(train)} training faces, "
            f"{table['file'].iloc[missing[0]]} among them; let what failed be trained again with "
            f"{_RETRAIN} --resume {name}, or, if models diverged, make another teacher"
        )
    _refuse_seen(name, table.iloc[rows].assign(fold=chosen["fold"].to_numpy()))
    ages = np.full((len(table), NUM_AGES), np.nan, dtype=np.float32)
    genders = np.full(len(table), np.nan, dtype=np.float32)
    ages[rows] = run.age_distribution[is_chosen]
    genders[rows] = chosen["gender_probability"]
    return Teacher(age_distribution=ages, gender_probability=genders)


def _refuse_seen(name: str, faces: pd.DataFrame) -> None:
    """Raise `UserError` where copies of a face are in several folds.

    The models that predict one of them were trained on the other.
    """
    seen = faces[faces.groupby("group")["fold"].transform("nunique") > 1]
    if len(seen):
        copies = seen[seen["group"] == seen["group"].iloc[0]]
        face = copies.iloc[0]
        copy = copies[copies["fold"] != face["fold"]].iloc[0]
        raise UserError(
            f"--teacher {name} has seen {face['file']}: its models that predict this face were "
            f"trained on a copy of it, {copy['file']}; make another with {_RETRAIN} --folds"
        )
