"""Which single faces two models differ on, and what each of the two looks at there."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.data import Faces, find_source, load_faces
from utkface.data.sources import SourceName
from utkface.evaluation.evaluate import describe_faces
from utkface.evaluation.face_figures import draw_faces
from utkface.evaluation.lime import explain_faces
from utkface.evaluation.predictions import StoredPredictions, find_model_file
from utkface.io import UserError
from utkface.model import load_model

#: Two ages that differ by less are the same to a person who looks at the face.
MIN_YEARS = 5.0
_NUM_SAMPLES = 500


class OneSided(NamedTuple):
    """Rows of faces that one of two models gets right, or reads better, the clearest first."""

    genders: NDArray[np.int64]  # this one is right, the other wrong
    ages: NDArray[np.int64]  # this one is closer by at least `MIN_YEARS`


def find_one_sided(a: StoredPredictions, b: StoredPredictions) -> tuple[OneSided, OneSided]:
    """Return the faces that a alone, and those that b alone, gets right.

    Both are of the same faces and are judged by the mean over their seeds.
    """
    age, is_female = a.faces["age"].to_numpy(), a.faces["gender"].to_numpy() == 1
    errors = [np.abs(model.age_years.mean(axis=0) - age) for model in (a, b)]
    probabilities = [model.gender_probability.mean(axis=0) for model in (a, b)]
    is_right = [(probability > 0.5) == is_female for probability in probabilities]
    distance = np.abs(probabilities[0] - probabilities[1])
    sides = []
    for ours, other in ((0, 1), (1, 0)):
        gain = errors[other] - errors[ours]
        sides.append(
            OneSided(
                genders=_ranked(distance, is_right[ours] & ~is_right[other]),
                ages=_ranked(gain, gain >= MIN_YEARS),
            )
        )
    return sides[0], sides[1]


def _ranked(size: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(-size[rows], kind="stable")]


def describe_sides(sides: tuple[OneSided, OneSided]) -> list[str]:
    """Return lines that count the faces that one model alone gets right."""
    first, second = sides
    return [
        f"genders that one alone has right: the first {len(first.genders)}, the second "
        f"{len(second.genders)}",
        f"ages that one reads at least {MIN_YEARS:.0f} years closer: the first {len(first.ages)}, "
        f"the second {len(second.ages)}",
    ]


def draw_sides(
    a: StoredPredictions,
    b: StoredPredictions,
    sides: tuple[OneSided, OneSided],
    folder: Path,
    source: SourceName | None = None,
    num_faces: int = 4,
) -> list[Path]:
    """Explain both models on the clearest faces of each side, and draw them into ``folder``.

    The pictures hold photographs: never commit them. Each model is its row's first seed's. Raises
    `UserError` where a model or the faces are not there any more.
    """
    chosen = {  # rows by title
        f"{head} that the {side} model gets better": getattr(ours, head)[:num_faces]
        for side, ours in zip(("first", "second"), sides, strict=True)
        for head in OneSided._fields
    }
    paths = []
    for name, model in (("first", a), ("second", b)):
        trained = load_model(find_model_file(model))
        faces = load_faces(source or find_source(), trained.config.image_size)
        places = _places(model, faces)
        for title, rows in chosen.items():
            if not len(rows):
                continue
            images = np.asarray(faces.images[places[rows]])
            title = f"{title}, read by the {name}"
            paths.append(folder / f"{title.replace(',', '').replace(' ', '_')}.png")
            draw_faces(
                paths[-1],
                title.capitalize(),
                f"{model.label} of {model.folder.name}. LIME, {_NUM_SAMPLES} versions a face.",
                images,
                describe_faces(model.faces, *model.predicted, rows),
                explain_faces(trained, images, num_samples=_NUM_SAMPLES),
            )
    return paths


def _places(model: StoredPredictions, faces: Faces) -> NDArray[np.int64]:
    """Return the row in ``faces`` of each face that a model was judged on."""
    rows = pd.Index(faces.table["file"]).get_indexer(model.faces["file"])
    lost = model.faces["file"][rows < 0]
    if len(lost):
        raise UserError(
            f"{len(lost)} of {len(rows)} faces of {model.folder} are not among these, the first: "
            f"{lost.iloc[0]}; give those that it was trained on with --data"
        )
    return rows.astype(np.int64)
