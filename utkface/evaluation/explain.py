"""What a model looks at: its worst faces and a sample of ordinary ones, explained with LIME."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from utkface.evaluation.hardest import hardest_faces
from utkface.evaluation.lime_maps import Explanations, explain_faces
from utkface.evaluation.regions import region_table
from utkface.evaluation.sheets import FaceNote, draw_faces, draw_regions
from utkface.model import TrainedModel

HARDEST = ("Largest age errors", "Most confident wrong genders")  # titles, as in `HardestFaces`
REGIONS = "Which regions of the face matter"
_READING = "A square's colour is what its detail does; pale all over: no one square matters."


def write_explanations(
    trained: TrainedModel,
    images: np.ndarray,
    faces: pd.DataFrame,
    age_years: np.ndarray,
    gender_probability: np.ndarray,
    folder: Path,
    *,
    num_hardest: int = 8,
    num_ordinary: int = 32,
    num_samples: int = 500,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Explain a model's worst faces and some drawn at random, and draw them into ``folder``.

    images: (N, S, S, 3) uint8 of the faces' rows; predictions: (S, N) of S seeds, of which
    ``trained`` is one. The drawings hold photographs: keep the folder out of the repository.
    Returns sheets (path by title; none of wrong genders where none is wrong), and plain values:
    regions, hardest (what is said of each face), fidelity (R² of the ordinary faces' fits: median,
    10th and 90th percentile), num_ordinary, num_samples, seed, seconds.
    """
    assert len(images) == len(faces) == age_years.shape[1] == gender_probability.shape[1]
    started = time.perf_counter()
    hardest = hardest_faces(faces, age_years, gender_probability, num_hardest)
    ordinary = _draw_ordinary(len(faces), num_ordinary, seed)
    rows = np.unique(np.concatenate([*hardest, ordinary]))  # a face is explained once
    explained = explain_faces(
        trained, np.asarray(images[rows]), num_samples=num_samples, seed=seed, device=device
    )

    def maps_of(chosen: NDArray[np.int64]) -> Explanations:
        return explained.take(np.searchsorted(rows, chosen))

    how = f"LIME of one model, {num_samples} versions of each face."
    notes = [_notes(faces, age_years, gender_probability, chosen) for chosen in hardest]
    subtitle = f"Predictions: mean of {_seeds(len(age_years))}. Maps: {how}\n{_READING}"
    sheets = {}
    for title, name, chosen, said in zip(HARDEST, hardest._fields, hardest, notes, strict=True):
        if said:
            sheets[title] = folder / f"hardest_{name}.png"
            draw_faces(sheets[title], title, subtitle, images[chosen], said, maps_of(chosen))
    maps = maps_of(ordinary)
    regions = region_table(maps)
    sheets[REGIONS] = folder / "regions.png"
    subtitle = f"Mean over {len(ordinary)} faces drawn at random. {how}"
    draw_regions(sheets[REGIONS], REGIONS, subtitle, images[ordinary].mean(axis=0), maps, regions)
    return {
        "sheets": sheets,
        "regions": regions,
        "hardest": {
            name: [asdict(note) for note in said]
            for name, said in zip(hardest._fields, notes, strict=True)
        },
        "fidelity": {"age_r2": _spread(maps.age_r2), "gender_r2": _spread(maps.gender_r2)},
        "num_ordinary": len(ordinary),
        "num_samples": num_samples,
        "seed": seed,
        "seconds": time.perf_counter() - started,
    }


def _draw_ordinary(num_faces: int, num: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of faces drawn at random, sorted; all of them where there are fewer."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(num_faces, min(num, num_faces), replace=False))


def _notes(
    faces: pd.DataFrame,
    age_years: np.ndarray,
    gender_probability: np.ndarray,
    rows: NDArray[np.int64],
) -> list[FaceNote]:
    """Return what there is to say of some faces, predictions being the mean over seeds."""
    columns = (
        faces["file"].to_numpy()[rows],
        faces["age"].to_numpy()[rows].tolist(),
        faces["gender"].to_numpy()[rows].tolist(),
        age_years.mean(axis=0)[rows].tolist(),
        gender_probability.mean(axis=0)[rows].tolist(),
    )
    return [FaceNote(*values) for values in zip(*columns, strict=True)]


def _seeds(num: int) -> str:
    return "1 seed" if num == 1 else f"{num} seeds"


def _spread(r2: NDArray[np.float64]) -> dict[str, float]:
    """Return how well the linear fits match the model, over the faces."""
    low, median, high = np.percentile(r2, (10, 50, 90))
    return {"median": float(median), "low": float(low), "high": float(high)}
