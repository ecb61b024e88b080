"""What models look at, by LIME: on worst faces, on ordinary ones, and where two models differ.

The pictures hold photographs: never commit them.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.data import find_source, load_faces
from utkface.data.sources import SourceName
from utkface.evaluation.evaluate import describe_faces, find_hardest
from utkface.evaluation.face_figures import draw_faces, draw_regions
from utkface.evaluation.lime import HEADS, Explanations, explain_faces, region_table
from utkface.evaluation.predictions import StoredPredictions, find_model_file
from utkface.evaluation.records import Explanation, Fidelity, Quantiles
from utkface.io import UserError
from utkface.model import TrainedModel, load_model

HARDEST = ("Largest age errors", "Most confident wrong genders")  # titles, as in `HardestRows`
REGIONS = "Which regions of the face matter"
#: Two ages that differ by less are the same to a person who looks at the face.
MIN_YEARS = 5.0
_NUM_SAMPLES = 500  # versions of each face
_READING = (
    "What the detail of a square does: red older, blue younger; violet female, orange male. "
    "Pale all over: no one square matters."
)


def write_explanations(
    trained: TrainedModel,
    images: np.ndarray,
    rows: NDArray[np.integer],
    faces: pd.DataFrame,
    age_years: np.ndarray,
    gender_probability: np.ndarray,
    folder: Path,
    num_hardest: int,
    num_samples: int = _NUM_SAMPLES,
) -> tuple[Explanation, dict[str, Path]]:
    """Explain a model's worst faces and some drawn at random, and draw them into ``folder``.

    images: (M, S, S, 3) uint8, of which ``rows`` (N,) are the faces' and few are read;
    predictions: (S, N) of S seeds, of which ``trained`` is one. Four times as many faces as the
    hardest of a kind are drawn at random. Returns what was found, and the drawings' paths by title;
    there is none of wrong genders where none is wrong.
    """
    assert len(rows) == len(faces) == age_years.shape[1] == gender_probability.shape[1]
    started = time.perf_counter()
    hardest = find_hardest(faces, age_years, gender_probability, num_hardest)
    num_ordinary = min(4 * num_hardest, len(faces))
    ordinary = np.sort(np.random.default_rng(0).choice(len(faces), num_ordinary, replace=False))
    places = np.unique(np.concatenate([*hardest, ordinary]))  # a face is explained once
    photographs = np.asarray(images[rows[places]])
    explained = explain_faces(trained, photographs, num_samples=num_samples)

    def of(chosen: NDArray[np.int64]) -> tuple[np.ndarray, Explanations]:
        """Return the photographs of some of them, and their maps."""
        positions = np.searchsorted(places, chosen)
        return photographs[positions], explained.take(positions)

    how = f"LIME of one model, {num_samples} versions of each face."
    seeds = f"{len(age_years)} seed{'s' * (len(age_years) != 1)}"
    subtitle = f"Predictions: mean of {seeds}. Maps: {how}\n{_READING}"
    figures = {}
    for title, name, chosen in zip(HARDEST, hardest._fields, hardest, strict=True):
        if len(chosen):
            figures[title] = folder / f"hardest_{name}.png"
            said = describe_faces(faces, age_years, gender_probability, chosen)
            shown, maps = of(chosen)
            draw_faces(figures[title], title, subtitle, shown, said, maps)
    shown, maps = of(ordinary)
    regions = region_table(maps)
    figures[REGIONS] = folder / "regions.png"
    subtitle = f"Mean over {len(ordinary)} faces drawn at random. {how}"
    draw_regions(figures[REGIONS], REGIONS, subtitle, shown.mean(axis=0), maps, regions)
    explanation = Explanation(
        regions=regions,
        fidelity=_fidelity(maps),
        num_ordinary=len(ordinary),
        num_samples=num_samples,
        seed=0,
        seconds=time.perf_counter() - started,
    )
    return explanation, figures


def _fidelity(explanations: Explanations) -> Fidelity:
    """Return how well LIME's linear models follow the network: R² by head, of 80 of 100 faces."""
    fits = np.percentile(explanations.r2, (10, 50, 90), axis=0).T.tolist()  # (heads, 3)
    return Fidelity(
        **{
            f"{head}_r2": Quantiles(median=median, low=low, high=high)
            for head, (low, median, high) in zip(HEADS, fits, strict=True)
        }
    )


class OneSided(NamedTuple):
    """Rows of faces that one of two models gets right, or reads better, the clearest first."""

    genders: NDArray[np.int64]  # this one is right, the other wrong
    ages: NDArray[np.int64]  # this one is closer by at least `MIN_YEARS`


def find_one_sided(ours: StoredPredictions, other: StoredPredictions) -> OneSided:
    """Return the faces that the first model gets right, or better, and the other does not.

    Both are of the same faces and are judged by the mean over their seeds.
    """
    models = (ours, other)
    age, is_female = ours.faces["age"].to_numpy(), ours.faces["gender"].to_numpy() == 1
    errors = [np.abs(model.age_years.mean(axis=0) - age) for model in models]
    probabilities = [model.gender_probability.mean(axis=0) for model in models]
    is_right, is_other_right = ((each > 0.5) == is_female for each in probabilities)
    gain = errors[1] - errors[0]
    distance = np.abs(probabilities[0] - probabilities[1])
    return OneSided(
        genders=_ranked(distance, is_right & ~is_other_right),
        ages=_ranked(gain, gain >= MIN_YEARS),
    )


def _ranked(size: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(-size[rows], kind="stable")]


def describe_sides(first: OneSided, second: OneSided) -> list[str]:
    """Return lines that count the faces that one model alone gets right."""
    return [
        f"genders that one alone has right: the first {len(first.genders)}, the second "
        f"{len(second.genders)}",
        f"ages that one reads at least {MIN_YEARS:.0f} years closer: the first {len(first.ages)}, "
        f"the second {len(second.ages)}",
    ]


def draw_sides(
    models: Sequence[StoredPredictions],
    sides: Sequence[OneSided],
    folder: Path,
    source: SourceName | None = None,
    num_faces: int = 4,
) -> list[Path]:
    """Explain two models on the clearest faces of each one's side, and draw them into ``folder``.

    Each model is its row's first seed's. Raises `UserError` where a model or the faces are not
    there any more.
    """
    chosen = {  # rows by title
        f"{head} that the {side} model gets better": getattr(ours, head)[:num_faces]
        for side, ours in zip(("first", "second"), sides, strict=True)
        for head in OneSided._fields
    }
    paths = []
    for name, model in zip(("first", "second"), models, strict=True):
        trained = load_model(find_model_file(model))
        faces = load_faces(source or find_source(), trained.config.image_size)
        places = pd.Index(faces.table["file"]).get_indexer(model.faces["file"])
        lost = model.faces["file"][places < 0]
        if len(lost):
            raise UserError(
                f"{len(lost)} of {len(places)} faces of {model.folder} are not among these, the "
                f"first: {lost.iloc[0]}; give those that it was trained on with --data"
            )
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
