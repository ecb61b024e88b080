"""What a model looks at: its worst faces and a sample of ordinary ones, explained with LIME."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.evaluation.evaluate import describe_faces, find_hardest
from utkface.evaluation.face_figures import draw_faces, draw_regions
from utkface.evaluation.lime import Explanations, explain_faces, region_table
from utkface.evaluation.records import Explanation, Fidelity, HardestFaces, Quantiles
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
    faces: pd.DataFrame,
    age_years: np.ndarray,
    gender_probability: np.ndarray,
    folder: Path,
    *,
    num_hardest: int = 8,
    num_ordinary: int | None = None,
    num_samples: int = 500,
    seed: int = 0,
) -> tuple[Explanation, dict[str, Path]]:
    """Explain a model's worst faces and some drawn at random, and draw them into ``folder``.

    images: (N, S, S, 3) uint8 of the faces' rows; predictions: (S, N) of S seeds, of which
    ``trained`` is one. The drawings hold photographs: keep the folder out of the repository.
    ``num_ordinary``, drawn at random, are by default four times as many as the hardest of a kind.
    Returns what was found, and the drawings' paths by title; there is none of wrong genders where
    none is wrong.
    """
    assert len(images) == len(faces) == age_years.shape[1] == gender_probability.shape[1]
    started = time.perf_counter()
    hardest = find_hardest(faces, age_years, gender_probability, num_hardest)
    ordinary = _draw_ordinary(len(faces), num_ordinary or 4 * num_hardest, seed)
    rows = np.unique(np.concatenate([*hardest, ordinary]))  # a face is explained once
    explained = explain_faces(trained, np.asarray(images[rows]), num_samples=num_samples, seed=seed)

    def maps_of(chosen: NDArray[np.int64]) -> Explanations:
        return explained.take(np.searchsorted(rows, chosen))

    how = f"LIME of one model, {num_samples} versions of each face."
    told = [describe_faces(faces, age_years, gender_probability, chosen) for chosen in hardest]
    subtitle = f"Predictions: mean of {_seeds(len(age_years))}. Maps: {how}\n{_READING}"
    figures = {}
    for title, name, chosen, said in zip(HARDEST, hardest._fields, hardest, told, strict=True):
        if said:
            figures[title] = folder / f"hardest_{name}.png"
            draw_faces(figures[title], title, subtitle, images[chosen], said, maps_of(chosen))
    maps = maps_of(ordinary)
    regions = region_table(maps)
    figures[REGIONS] = folder / "regions.png"
    subtitle = f"Mean over {len(ordinary)} faces drawn at random. {how}"
    draw_regions(figures[REGIONS], REGIONS, subtitle, images[ordinary].mean(axis=0), maps, regions)
    explanation = Explanation(
        regions=regions,
        hardest=HardestFaces(**dict(zip(hardest._fields, told, strict=True))),
        fidelity=Fidelity(age_r2=_quantiles(maps.age_r2), gender_r2=_quantiles(maps.gender_r2)),
        num_ordinary=len(ordinary),
        num_samples=num_samples,
        seed=seed,
        seconds=time.perf_counter() - started,
    )
    return explanation, figures


def _draw_ordinary(num_faces: int, num: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of faces drawn at random, sorted; all of them where there are fewer."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(num_faces, min(num, num_faces), replace=False))


def _seeds(num: int) -> str:
    return "1 seed" if num == 1 else f"{num} seeds"


def _quantiles(r2: NDArray[np.float64]) -> Quantiles:
    """Return how well the linear fits match the model, over the faces."""
    low, median, high = np.percentile(r2, (10, 50, 90))
    return Quantiles(median=median, low=low, high=high)
