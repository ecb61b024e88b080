"""What the models of ``--folds`` say of the faces that they left out: a teacher for others."""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tune.console import labelled
from tune.console.lines import estimates_line
from tune.execution.checkpoints import CheckpointStore
from tune.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from tune.records.retrain import ModelRecord, RetrainRecord
from tune.records.run_folder import RetrainFolder
from tune.report.facts import from_here
from tune.retrain.plan import Plan
from tune.retrain.predictions import load_trained
from utkface.batches import map_on_cores, to_device
from utkface.evaluation.bootstrap import Bootstrap, estimate
from utkface.evaluation.metrics import MEAN_METRICS, per_face_terms
from utkface.io import UV_RUN, progress_bar
from utkface.model import NUM_AGES, FaceModel, FaceOutputs, PixelModel, prediction_batch_size
from utkface.predictor import find_device


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
    protocols = [protocol for protocol in plan.splits if _of(trained, protocol)]
    with progress_bar("Predicting", len(trained)) as advance:
        found = []
        for protocol in protocols:
            sums = _Sums(plan, protocol)
            for each in _of(trained, protocol):
                sums.add(each, load_trained(each.job, checkpoints))
                advance(1)
            found.append(sums.means())
    everything = OutOfFold(
        pd.concat([means.table for means in found], ignore_index=True),
        np.concatenate([means.age_distribution for means in found]),
    )
    path = folder.path / OUT_OF_FOLD
    everything.write(path)
    run = shlex.quote(str(from_here(folder.path)))
    command = f"{UV_RUN}python tune/retrain_best.py --teacher {run}"
    lines = [_summary(means.table) for means in found]
    return [*lines, labelled("teacher", path), labelled("use it", command)]


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
        outputs = [pixel_model.outputs(look.permute(0, 3, 1, 2)) for look in looks]
        answered = zip(*(_answers(model, each) for each in outputs), strict=True)
        return Said(*(torch.stack(of_looks).mean(dim=0).cpu().numpy() for of_looks in answered))

    batches = map_on_cores(answers, range(0, len(rows), size), device)
    return Said(*(np.concatenate(part) for part in zip(*batches, strict=True)))


def _answers(model: FaceModel, outputs: FaceOutputs) -> tuple[Tensor, Tensor, Tensor]:
    """Return age distributions, ages and probabilities of being female."""
    distribution = outputs.age_output.softmax(dim=1)
    return distribution, model.ages(outputs), model.gender_probability(outputs)


class _Sums:
    """The predictions for a protocol's training faces, added up model by model."""

    def __init__(self, plan: Plan, protocol: str) -> None:
        self._plan, self._protocol = plan, protocol
        self._device = find_device("auto")
        num_rows = len(plan.faces.table)
        self._said = Said(np.zeros((num_rows, NUM_AGES)), np.zeros(num_rows), np.zeros(num_rows))
        self._num_models = np.zeros(num_rows, dtype=np.int64)
        self._fold = np.full(num_rows, -1)

    def add(self, record: ModelRecord, model: FaceModel) -> None:
        """Add what a model says of the fold that it left out."""
        fold = record.job.fold
        assert fold is not None
        rows = self._plan.fold_rows(self._protocol, fold)
        images, flip = self._plan.faces.images, self._plan.options.flip
        said = predict_distributions(model, images, rows, flip=flip, device=self._device)
        for total, values in zip(self._said, said, strict=True):
            total[rows] += values
        self._num_models[rows] += 1
        self._fold[rows] = fold

    def means(self) -> OutOfFold:
        """Return the mean predictions of all faces that have any."""
        rows = np.flatnonzero(self._num_models)
        num_models = self._num_models[rows]
        means = Said(*((total[rows].T / num_models).T for total in self._said))
        table = self._plan.faces.table.iloc[rows][["file", "group", "age", "gender"]]
        table = table.reset_index(drop=True).assign(
            protocol=self._protocol,
            part=self._plan.options.part,
            split_hash=self._plan.splits[self._protocol].hash,
            fold=self._fold[rows],
            num_models=num_models,
            age_years=means.age_years.astype(np.float32),
            gender_probability=means.gender_probability.astype(np.float32),
        )
        return OutOfFold(table, means.age_distribution.astype(np.float32))


def _of(records: Sequence[ModelRecord], protocol: str) -> list[ModelRecord]:
    return [record for record in records if record.job.protocol == protocol]


def _summary(table: pd.DataFrame) -> str:
    """Return how good the predictions for one protocol's faces are, with 95 % intervals."""
    age, gender, group = (table[name].to_numpy(np.int64) for name in ("age", "gender", "group"))
    years, female = (
        table[name].to_numpy(np.float64) for name in ("age_years", "gender_probability")
    )
    names = ("age_mae", "gender_accuracy")
    terms = per_face_terms(age, gender, years, female)[[MEAN_METRICS.index(name) for name in names]]
    samples = Bootstrap(group).sample_means(terms)
    found = (estimate(*pair) for pair in zip(terms.mean(axis=1), samples, strict=True))
    first = table.iloc[0]
    return (
        f"{first['protocol']} split, before {first['part']}: {len(table):,} training faces out of "
        f"fold, {_models(table['num_models'])}: {estimates_line(*found)}"
    )


def _models(num_models: "pd.Series[int]") -> str:
    low, high = int(num_models.min()), int(num_models.max())
    return (
        f"{high} model{'s' * (high != 1)} each" if low == high else f"{low} to {high} models each"
    )
