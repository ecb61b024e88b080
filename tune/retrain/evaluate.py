"""Judges the trained models on the part that was kept for it, and writes what was found."""

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tune.console import labelled
from tune.console.lines import estimates_line
from tune.execution.checkpoints import CheckpointStore
from tune.records.provenance import command_line, commit, versions
from tune.records.retrain import INTERVAL, Job, ModelRecord, RetrainRecord
from tune.records.run_folder import RetrainFolder
from tune.report.league import LEAGUE_PAGE, write_league
from tune.retrain.plan import Plan, judged_rows, training_rows
from tune.retrain.predictions import JudgedModel, judge_models, prediction_table
from utkface.config import TrainConfig
from utkface.data import find_source
from utkface.evaluation.baselines import (
    TRAINED_MODELS,
    backbone_features,
    baseline_predictions,
    frozen_model,
)
from utkface.evaluation.brisque import NOT_INSTALLED, load_regressor
from utkface.evaluation.evaluate import evaluate_model, evaluate_overall, paired_difference
from utkface.evaluation.explain import write_explanations
from utkface.evaluation.facts import SharedHardware
from utkface.evaluation.quality import measure_quality
from utkface.evaluation.records import (
    BaselineRow,
    Evaluation,
    Evaluator,
    Explanation,
    Pair,
    Row,
    Settings,
)
from utkface.evaluation.report.card import write_model_card
from utkface.evaluation.report.findings import find_headlines
from utkface.evaluation.report.page import write_evaluation_report
from utkface.io import replacing

Predicted = tuple[np.ndarray, np.ndarray]  # ages and probabilities, (S, N) each


def evaluate(
    plan: Plan,
    folder: RetrainFolder,
    record: RetrainRecord,
    trained: Sequence[ModelRecord],
    checkpoints: CheckpointStore,
) -> list[str]:
    """Evaluate what was trained, write everything into the folder; return lines to print."""
    started = time.perf_counter()
    about = {"run": folder.path.name, "commit": record.commit, **dict(record.data)}
    judged = judge_models(plan, trained, checkpoints, about, folder.path / "models")
    prediction_s = time.perf_counter() - started
    predictions = prediction_table(plan, judged)
    with replacing(folder.path / "predictions.parquet") as temporary:
        predictions.to_parquet(temporary, index=False)

    groups = _by_row(judged)
    faces = _with_quality(plan, np.unique(np.concatenate([of[0].rows for of in groups])))
    rows = [_row(plan, faces, models) for models in groups]
    shown = find_headlines(rows)[0]  # that all pages, figures and files are about
    first = groups[rows.index(shown)]
    baselines = list(_baselines(plan, faces, groups, first[0].job))
    explanation: Explanation | None = None
    sheets: dict[str, Path] = {}
    if plan.options.explain:
        explanation, sheets = write_explanations(
            first[0].trained,
            plan.faces.images,
            first[0].rows,
            faces.iloc[first[0].rows].reset_index(drop=True),
            *_stacked(first),
            folder.path / "sheets",
            num_hardest=plan.options.explain,
        )
    evaluation = _describe(plan, record, rows, first[0].job)
    evaluation.baselines = [row for row, _ in baselines]
    evaluation.paired = list(_paired(faces, groups, baselines, shown.label))
    evaluation.explanations = explanation
    evaluation.seconds = {
        "training": sum(model.record.train_seconds for model in judged),
        "prediction": prediction_s,
        "evaluation": time.perf_counter() - started - prediction_s,
    }
    folder.write_text("evaluation.json", evaluation.to_text())
    page = write_evaluation_report(evaluation, predictions, folder.path, sheets)
    folder.write_text("model_card.md", write_model_card(evaluation, shown))
    with replacing(folder.path / "model.pt") as temporary:
        shutil.copyfile(first[0].path, temporary)
    every: list[Row | BaselineRow] = [*rows, *evaluation.baselines]
    lines = [_summary(row) for row in every]
    lines += [labelled("report", page), *describe_model(plan, shown, folder.path / "model.pt")]
    if not plan.faces.is_demo:
        results = folder.path.parent
        lines.append(labelled("league", write_league(results, results / LEAGUE_PAGE)))
    if load_regressor() is None:
        lines.append(labelled("quality", NOT_INSTALLED))
    return lines


def _describe(plan: Plan, record: RetrainRecord, rows: list[Row], shown: Job) -> Evaluation:
    """Return an evaluation with its rows, by whom and on what they were made."""
    config = TrainConfig.from_dict(shown.config)
    # What a backbone began with, as a model card may say it: no path of this machine.
    weights = {"none": "random weights", "imagenet": "ImageNet weights"}
    begun_with = weights.get(plan.weights, Path(plan.weights).name)
    as_recorded = ("name", "created", "command", "commit", "versions", "search", "search_split")
    return Evaluation(
        **{name: getattr(record, name) for name in (*as_recorded, "data", "wall_s")},
        hardware=record.hardware or SharedHardware(),
        weights=begun_with if config.pretrained else weights["none"],
        evaluated_by=Evaluator(command=command_line(), commit=commit(), versions=versions()),
        image_size=config.image_size,
        epochs=config.epochs,
        flip=plan.options.flip,
        rows=rows,
        leak={protocol: _num_leaked(plan, protocol) for protocol in plan.splits},
    )


def describe_model(plan: Plan, shown: Row, path: Path) -> list[str]:
    """Say where the model is, and whose where nobody chose it beforehand."""
    lines = [labelled("model", path)]
    if not shown.headline:
        why = "configurations were compared, none was chosen beforehand"
        if plan.was_chosen:
            why = f"{plan.finalists[0].label} has no trained model"
        note = f"{why}: {path.name} and the page are of {shown.label}, the best on these faces"
        lines.append(labelled("note", note))
    return lines


def _by_row(judged: Sequence[JudgedModel]) -> list[list[JudgedModel]]:
    """Return the models that differ in their seed alone together, in the order that they have.

    Those that were trained without the validation part, for intervals, are no result.
    """
    groups: dict[tuple[str, str, str], list[JudgedModel]] = {}
    for model in judged:
        job = model.job
        if job.purpose != INTERVAL:
            groups.setdefault((job.label, job.protocol, job.part), []).append(model)
    return list(groups.values())


def _with_quality(plan: Plan, rows: np.ndarray) -> pd.DataFrame:
    """Return the table of all faces, some rows with the quality of their photographs."""
    quality = measure_quality(plan.faces, plan.options.data or find_source(), rows=rows)
    return pd.concat([plan.faces.table, quality.drop(columns="file")], axis=1)


def _row(plan: Plan, faces: pd.DataFrame, models: Sequence[JudgedModel]) -> Row:
    """Return all numbers of one configuration under one protocol.

    The headline is what the search chose, or the only configuration given.
    """
    job = models[0].job
    ends = [model.interval for model in models if model.interval is not None]
    interval = None
    if ends:
        interval = (np.stack([low for low, _ in ends]), np.stack([high for _, high in ends]))
    train, _ = training_rows(plan.splits[job.protocol], job.part)
    return Row(
        label=job.label,
        headline=job.label == plan.finalists[0].label and plan.was_chosen,
        protocol=job.protocol,
        part=job.part,
        seeds=[model.job.seed for model in models],
        num_train=len(train),
        config=Settings.model_validate(job.config),
        train_seconds=[round(model.record.train_seconds, 1) for model in models],
        train_losses=[[e["train_loss"] for e in model.record.epochs] for model in models],
        model_files=[f"models/{model.path.name}" for model in models],
        **dict(evaluate_model(faces.iloc[models[0].rows], *_stacked(models), interval=interval)),
    )


def _stacked(models: Sequence[JudgedModel]) -> Predicted:
    """Return what models say that differ in their seed alone."""
    ages = np.stack([model.age_years for model in models])
    return ages, np.stack([model.gender_probability for model in models])


def _baselines(
    plan: Plan, faces: pd.DataFrame, groups: Sequence[Sequence[JudgedModel]], shown: Job
) -> Iterator[tuple[BaselineRow, Predicted]]:
    """Yield a row, and its predictions, for each baseline under each protocol, if any is wanted.

    ``shown`` is of the configuration whose own network they also learn from.
    """
    if not plan.options.baselines:
        return
    backbone = TrainConfig.from_dict(shown.config).backbone
    frozen = backbone_features(frozen_model(plan.weights, backbone), plan.faces.images)
    for protocol, split in plan.splits.items():
        train, _ = training_rows(split, plan.options.part)
        test = judged_rows(split, plan.options.part)
        found = baseline_predictions(frozen, faces, train, test)
        for models in groups:
            if (models[0].job.label, models[0].job.protocol) == (shown.label, protocol):
                trained = backbone_features(models[0].trained.model, plan.faces.images)
                found += baseline_predictions(trained, faces, train, test, models=TRAINED_MODELS)
        for label, ages, genders, seconds in found:
            predicted = ages[None], genders[None]
            row = BaselineRow(
                label=label,
                protocol=protocol,
                part=plan.options.part,
                seconds=seconds,
                **dict(evaluate_overall(faces.iloc[test], *predicted)),
            )
            yield row, predicted


def _paired(
    faces: pd.DataFrame,
    groups: Sequence[Sequence[JudgedModel]],
    baselines: Sequence[tuple[BaselineRow, Predicted]],
    shown: str,
) -> Iterator[Pair]:
    """Yield the difference of one configuration to each other model on the same faces."""
    models = {(of[0].job.label, of[0].job.protocol): _stacked(of) for of in groups}
    models |= {(row.label, row.protocol): predicted for row, predicted in baselines}
    for job, rows in ((of[0].job, of[0].rows) for of in groups if of[0].job.label == shown):
        for (label, protocol), predicted in models.items():
            if protocol == job.protocol and label != shown:
                ours = models[shown, protocol]
                yield Pair(
                    a=shown,
                    b=label,
                    protocol=protocol,
                    part=job.part,
                    num_faces=len(rows),
                    **dict(paired_difference(faces.iloc[rows], ours, predicted)),
                )


def _num_leaked(plan: Plan, protocol: str) -> int:
    """Return how many judged faces have a copy among those that models were trained on."""
    split, part = plan.splits[protocol], plan.options.part
    group = plan.faces.table["group"].to_numpy()
    return int(np.isin(group[judged_rows(split, part)], group[training_rows(split, part)[0]]).sum())


def _summary(row: Row | BaselineRow) -> str:
    """Return a model's two main numbers in a line."""
    found = estimates_line(row.metric("age_mae"), row.metric("gender_accuracy"))
    return f"{row.label}, {row.protocol} split, {row.part}: {found}"
