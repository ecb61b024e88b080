"""Faces that one of two models alone gets right: found, ranked, counted, and drawn for both."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utkface.config import TrainConfig
from utkface.data import load_faces
from utkface.evaluation.changes import describe_sides, draw_sides, find_one_sided
from utkface.evaluation.predictions import StoredPredictions
from utkface.io import UserError
from utkface.model import TrainedModel, build_model, save_model


def stored(
    faces: pd.DataFrame, years, probability, folder: Path = Path(), label: str = "m"
) -> StoredPredictions:
    predicted = np.array([years], float), np.array([probability], float)
    return StoredPredictions(folder, label, "grouped", "test", faces, *predicted)


def table(ages, genders) -> pd.DataFrame:
    files = [f"{number}.jpg" for number in range(len(ages))]
    return pd.DataFrame({"file": files, "age": ages, "gender": genders})


def test_each_side_has_the_faces_that_it_alone_gets_right_clearest_first() -> None:
    faces = table([30, 30, 30, 30], [0, 0, 1, 1])
    a = stored(faces, [30, 36, 50, 20], [0.4, 0.1, 0.6, 0.2])
    b = stored(faces, [36, 30, 30, 24], [0.6, 0.9, 0.7, 0.6])
    first, second = find_one_sided(a, b)
    assert first.genders.tolist() == [1, 0]  # both are men, surer of the second
    assert second.genders.tolist() == [3]
    assert first.ages.tolist() == [0]
    assert second.ages.tolist() == [2, 1]  # the last is closer by four years alone
    assert describe_sides((first, second)) == [
        "genders that one alone has right: the first 2, the second 1",
        "ages that one reads at least 5 years closer: the first 1, the second 2",
    ]


def test_both_models_are_drawn_on_the_same_faces(tmp_path, make_evaluation) -> None:
    """Each by its own file: here they are two rows of one run, whose model.pt is neither's."""
    config = TrainConfig(image_size=32, pretrained=False)
    faces = load_faces("demo", 32).table.head(6).reset_index(drop=True)
    evaluation, models = make_evaluation().evaluation, []
    rows = [row for row in evaluation.rows if row.protocol == "grouped"]
    for row, off in zip(rows, (0, 20), strict=True):
        row.model_files = [f"models/{off}.pt"]
        path = tmp_path / row.model_files[0]
        save_model(path, TrainedModel(build_model(config).eval(), config))
        models.append(stored(faces, faces["age"] + off, faces["gender"], tmp_path, row.label))
    (tmp_path / "evaluation.json").write_text(evaluation.to_text())
    sides = find_one_sided(*models)
    paths = draw_sides(*models, sides, tmp_path / "sheets", "demo", num_faces=1)
    assert [path.name for path in paths] == [
        "ages_that_the_first_model_gets_better_read_by_the_first.png",
        "ages_that_the_first_model_gets_better_read_by_the_second.png",
    ]  # fmt: skip
    assert all(path.stat().st_size > 10_000 for path in paths)
    strangers = stored(
        faces.assign(file="x.jpg"), faces["age"], faces["gender"], tmp_path, rows[0].label
    )
    with pytest.raises(UserError, match="6 of 6 faces of"):
        draw_sides(strangers, strangers, sides, tmp_path / "other", "demo")
    unknown = stored(faces, faces["age"], faces["gender"], tmp_path, "gone")
    with pytest.raises(UserError, match="names no model of 'gone' on the grouped split"):
        draw_sides(unknown, unknown, sides, tmp_path / "other", "demo")
