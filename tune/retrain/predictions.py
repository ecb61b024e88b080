"""What trained models say of the faces they are judged on, kept as one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tune.execution.checkpoints import CheckpointStore
from tune.records.retrain import INTERVAL, Job, ModelRecord
from tune.retrain.plan import Plan, judged_rows
from utkface.batches import map_on_cores
from utkface.config import TrainConfig
from utkface.intervals import AgeIntervals, apply_intervals, fit_intervals
from utkface.io import UserError, progress_bar
from utkface.model import FaceModel, TrainedModel, averaged_model, prediction_batch_size, save_model
from utkface.predictor import Predictor


@dataclass(frozen=True)
class JudgedModel:
    """A model, its file, and its predictions for the N faces of its part."""

    record: ModelRecord
    path: Path
    trained: TrainedModel
    rows: np.ndarray  # (N,) of the faces' table
    age_years: np.ndarray  # (N,)
    gender_probability: np.ndarray  # (N,) of being female

    @property
    def job(self) -> Job:
        """What was trained."""
        return self.record.job

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The lowest and the highest age (N,) of each prediction, if the model has intervals."""
        interval = self.trained.interval
        return None if interval is None else apply_intervals(interval, self.age_years)


def judge_models(
    plan: Plan,
    records: Sequence[ModelRecord],
    checkpoints: CheckpointStore,
    about: Mapping[str, object],
    models: Path,
) -> list[JudgedModel]:
    """Predict with every trained model, and save each as a file of its own in ``models``.

    Returns the models in the order of their records.
    """
    judged: dict[int, JudgedModel] = {}
    intervals: dict[str, AgeIntervals] = {}
    # Those that leave the validation part out come first: from how far they stray there the others
    # of their configuration get their intervals.
    ordered = sorted(records, key=lambda record: record.job.purpose != INTERVAL)
    with progress_bar("Predicting", len(ordered)) as advance:
        for record in ordered:
            job = record.job
            about_model = {
                **about,
                "label": job.label,
                "seed": job.seed,
                "protocol": job.protocol,
                "split_hash": plan.splits[job.protocol].hash,
                "trained_on": job.rows,
                "flip": plan.options.flip,
            }
            model, config = load_trained(job, checkpoints), TrainConfig.from_dict(job.config)
            trained = TrainedModel(model, config, about_model, intervals.get(job.label))
            rows = judged_rows(plan.splits[job.protocol], job.part)
            ages, genders = _predict(plan, trained, rows)
            if job.purpose == INTERVAL:
                intervals[job.label] = fit_intervals(plan.faces.table["age"].to_numpy()[rows], ages)
            path = models / f"{job.file_stem}.pt"
            save_model(path, trained)
            judged[job.number] = JudgedModel(record, path, trained, rows, ages, genders)
            advance(1)
    return [judged[record.job.number] for record in records]


def _predict(plan: Plan, trained: TrainedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ages and probabilities of being female (N,) of some rows of the faces."""
    predictor = Predictor(trained, flip=plan.options.flip)
    size = prediction_batch_size(predictor.image_size, predictor.device)
    batches = map_on_cores(
        lambda start: predictor.predict_pixels(
            np.take(plan.faces.images, rows[start : start + size], 0)
        ),
        range(0, len(rows), size),
        predictor.device,
    )
    ages, genders = (np.concatenate(part) for part in zip(*batches, strict=True))
    return ages, genders


def prediction_table(plan: Plan, judged: Sequence[JudgedModel]) -> pd.DataFrame:
    """Return one row per face and model, as ``predictions.parquet`` holds them."""
    parts = []
    for model in judged:
        job = model.job
        low, high = model.interval or (np.nan, np.nan)
        faces = plan.faces.table.iloc[model.rows][["file", "group", "age", "gender", "race"]]
        faces = faces.assign(
            # It may have been trained otherwise: without the teacher.
            label=f"{job.label} ({INTERVAL})" if job.purpose == INTERVAL else job.label,
            protocol=job.protocol,
            part=job.part,
            seed=job.seed,
            age_years=model.age_years,
            gender_probability=model.gender_probability,
            age_low=low,
            age_high=high,
        )
        parts.append(faces)
    return pd.concat(parts, ignore_index=True)


def load_trained(job: Job, checkpoints: CheckpointStore) -> FaceModel:
    """Return the model that a job's training came to; raises `UserError` where it is gone."""
    try:
        state = checkpoints.load(job.number)
    except OSError as error:
        raise UserError(
            f"cannot read the checkpoint of {job.title} from {checkpoints.uri} ({error}); when it "
            "answers again, go on with --resume"
        ) from error
    if state is None:
        raise UserError(
            f"the checkpoint of {job.title} is gone from {checkpoints.uri}; copy it back, or "
            "start a new retraining"
        )
    return averaged_model(state)
