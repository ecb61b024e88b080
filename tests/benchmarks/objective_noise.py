"""Which metric should a search minimise: how noisy is each, and how well does it rank trials?

    python tests/benchmarks/objective_noise.py RUN [--write]

Reads what the complete trials of a search predict for the validation faces. The standard error of
a metric, by bootstrap over faces, is set against the spread between trials; and trials ranked by
the metric on one half of the faces are compared with their `score` on the other half, over many
random halves. ``--write`` keeps the table under ``results/curves``.
"""

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from curves import FOLDER, markdown
from scipy.stats import rankdata, spearmanr

from utkface.data.labels import parse_name
from utkface.io import UserError, replacing, run_command
from utkface.metrics import (
    REFERENCE_AGE_MAE,
    REFERENCE_GENDER_ERROR,
    REFERENCE_GENDER_LOG_LOSS,
    calibrated_gender_log_losses,
)

NUM_RESAMPLES = 400
NUM_HALVES = 400
NUM_PAIRS = 300


def read_predictions(run: Path) -> tuple[np.ndarray, ...]:
    """Return ages and genders (N,), and the predictions (T, N) of T complete trials."""
    split = run / "data" / "split.json"
    if not split.is_file():
        raise UserError(f"{split} is not there; give the folder of a run on this machine")
    names = json.loads(split.read_text(encoding="utf-8"))["val"]
    labels = [parse_name(name) for name in names]
    last = set(pd.read_csv(run / "trials.csv").query("state == 'COMPLETE'")["number"])
    files = [
        file
        for file in sorted((run / "checkpoints" / "predictions").glob("trial_*.npz"))
        if int(file.stem.split("_")[1]) in last
    ]
    if len(files) < 5:
        raise UserError(f"{run} has predictions of {len(files)} complete trials; 5 are needed")
    loaded = [np.load(file) for file in files]
    age_years, gender_probability = (
        np.stack([part[name] for part in loaded]).astype(float)
        for name in ("age_years", "gender_probability")
    )
    age, gender = (np.array(column) for column in list(zip(*labels, strict=True))[:2])
    return age, gender, age_years, gender_probability


def auc_terms(gender: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return terms (N,) whose mean is 1 - AUC, and which vary over faces as it does (DeLong)."""
    ranks, female = rankdata(probability), gender == 1
    above = (ranks[female] - rankdata(probability[female])) / (~female).sum()
    below = 1 - (ranks[~female] - rankdata(probability[~female])) / female.sum()
    terms, loss = np.empty(len(gender)), 1 - above.mean()
    terms[female] = loss + (1 - above - loss) / female.mean()
    terms[~female] = loss + (1 - below - loss) / (~female).mean()
    return terms


def metric_terms(
    age: np.ndarray, gender: np.ndarray, age_years: np.ndarray, probability: np.ndarray
) -> dict[str, np.ndarray]:
    """Return terms (T, N) of each candidate: their mean over faces is the metric.

    The temperature is that of all faces; near its best value it hardly matters to the loss. Other
    measures of gender are in units in which the better half of the trials have the gender error's
    mean.
    """
    years = np.abs(age_years - age) / REFERENCE_AGE_MAE
    wrong = ((probability > 0.5) != (gender == 1)) / REFERENCE_GENDER_ERROR
    losses = calibrated_gender_log_losses(gender, probability)
    calibrated, truth = losses / REFERENCE_GENDER_LOG_LOSS, np.exp(-losses)
    of_truth = np.where(gender == 1, probability, 1 - probability)
    better = wrong.mean(1) <= np.median(wrong.mean(1))

    def in_units(terms: np.ndarray) -> np.ndarray:
        return terms * wrong[better].mean() / terms[better].mean()

    others = {
        "log loss": in_units(-np.log(np.clip(of_truth, 1e-7, 1))),
        "calibrated Brier": in_units((1 - truth) ** 2),
        "1 - AUC": in_units(np.array([auc_terms(gender, row) for row in probability])),
    }
    return {
        "score": (years + wrong) / 2,
        "smooth_score": (years + calibrated) / 2,
        "age, 2 : 1": (2 * years + calibrated) / 3,
        "age, 1 : 2": (years + 2 * calibrated) / 3,
        "age alone": years,
        "calibrated log loss alone": calibrated,
        **{f"age, {name}": (years + terms) / 2 for name, terms in others.items()},
        "half score, half smooth": (years + (wrong + calibrated) / 2) / 2,
    }


def compare(terms: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return a row per metric: its errors, the spread between trials, and how well it ranks."""
    rng = np.random.default_rng(0)
    num_trials, num_faces = terms["score"].shape
    draws = rng.multinomial(num_faces, np.full(num_faces, 1 / num_faces), NUM_RESAMPLES)
    pairs = list(combinations(range(num_trials), 2))
    chosen = rng.permutation(len(pairs))[:NUM_PAIRS]
    ones, others = np.array(pairs)[chosen].T
    halves = np.array([rng.permutation(num_faces) < num_faces // 2 for _ in range(NUM_HALVES)])
    end = terms["score"] @ ~halves.T / (~halves).sum(1)  # (T, H)
    rows = {}
    for name, values in terms.items():
        means = values.mean(1)
        samples = draws @ values.T / num_faces  # (R, T)
        error = np.median(samples.std(0))
        differences = (samples[:, ones] - samples[:, others]).std(0)
        paired = np.median(differences)
        spread, quartiles = means.std(ddof=1), np.subtract(*np.quantile(means, [0.75, 0.25]))
        half = values @ halves.T / halves.sum(1)
        rho = [spearmanr(a, b).statistic for a, b in zip(half.T, end.T, strict=True)]
        good = means <= np.median(means)
        both = good[ones] & good[others]
        rho_good = [
            spearmanr(a, b).statistic for a, b in zip(half[good].T, end[good].T, strict=True)
        ]
        lost = end[half.argmin(0), np.arange(NUM_HALVES)] - end.min(0)
        rows[name] = {
            "error": error, "paired error": paired, "spread (SD)": spread, "IQR": quartiles,
            "error / SD": error / spread, "error / IQR": error / quartiles,
            "paired / SD": paired / spread, "paired / IQR": paired / quartiles,
            "better half: paired / SD": np.median(differences[both]) / means[good].std(ddof=1),
            "ranks score": np.mean(rho), "better half: ranks score": np.mean(rho_good),
            "score lost by the choice": np.mean(lost),
        }  # fmt: skip
    return pd.DataFrame(rows).T


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a search on this machine")
    parser.add_argument("--write", action="store_true", help="into results/curves/")
    given = parser.parse_args()
    age, gender, age_years, probability = read_predictions(given.run)
    terms = metric_terms(age, gender, age_years, probability)
    text = (
        f"# Noise of the objective\n\n{len(age_years)} trials of {given.run.name}, {len(age)} "
        f"validation faces, {NUM_RESAMPLES} resamples, {NUM_HALVES} halves. Errors are medians "
        "over trials and pairs of trials.\n\n" + markdown(compare(terms).round(4), "metric") + "\n"
    )
    print(text)
    if given.write:
        with replacing(FOLDER / "objective_noise.md") as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
