"""What a model looks at: its worst faces and a sample of ordinary ones, explained with LIME."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.evaluation.evaluate import describe_faces, find_hardest
from utkface.evaluation.face_figures import draw_faces, draw_regions
from utkface.evaluation.lime import HEADS, Explanations, explain_faces, region_table
from utkface.evaluation.records import Explanation, Fidelity, Quantiles
from utkface.model import TrainedModel

HARDEST = ("Largest age errors", "Most confident wrong genders")  # titles, as in `HardestRows`
REGIONS = "Which regions of the face matter"
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
    num_samples: int = 500,
) -> tuple[Explanation, dict[str, Path]]:
    """Explain a model's worst faces and some drawn at random, and draw them into ``folder``.

    images: (M, S, S, 3) uint8, of which ``rows`` (N,) are the faces' and few are read;
    predictions: (S, N) of S seeds, of which ``trained`` is one. The drawings hold photographs: keep
    the folder out of the repository. Four times as many faces as the hardest of a kind are drawn at
    random. Returns what was found, and the drawings' paths by title; there is none of wrong genders
    where none is wrong.
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
    told = [describe_faces(faces, age_years, gender_probability, chosen) for chosen in hardest]
    seeds = f"{len(age_years)} seed{'s' * (len(age_years) != 1)}"
    subtitle = f"Predictions: mean of {seeds}. Maps: {how}\n{_READING}"
    figures = {}
    for title, name, chosen, said in zip(HARDEST, hardest._fields, hardest, told, strict=True):
        if said:
            figures[title] = folder / f"hardest_{name}.png"
            shown, maps = of(chosen)
            draw_faces(figures[title], title, subtitle, shown, said, maps)
    shown, maps = of(ordinary)
    regions = region_table(maps)
    figures[REGIONS] = folder / "regions.png"
    subtitle = f"Mean over {len(ordinary)} faces drawn at random. {how}"
    draw_regions(figures[REGIONS], REGIONS, subtitle, shown.mean(axis=0), maps, regions)
    explanation = Explanation(
        regions=regions,
        fidelity=Fidelity(
            **{f"{head}_r2": _quantiles(r2) for head, r2 in zip(HEADS, maps.r2.T, strict=True)}
        ),
        num_ordinary=len(ordinary),
        num_samples=num_samples,
        seed=0,
        seconds=time.perf_counter() - started,
    )
    return explanation, figures


def _quantiles(r2: NDArray[np.float64]) -> Quantiles:
    """Return how well the linear fits match the model, over the faces."""
    low, median, high = np.percentile(r2, (10, 50, 90))
    return Quantiles(median=median, low=low, high=high)
