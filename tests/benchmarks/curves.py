"""Make ``results/curves/``: the learning curves of whole searches as one small table.

    python tests/benchmarks/curves.py RUN [RUN ...]

Takes searches of one space whose trials all ran to their end (``--scheduler none``), finished or
not, and writes ``curves.parquet`` (one row per trial and epoch) and a README that describes it.
`read_curves` gives the table to other benchmarks.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from tune.records.run_folder import SearchFolder
from tune.records.trials import TrialRecord
from tune.study.past_runs import read_run, read_study
from tune.study.store import CONFIRM_STUDY
from utkface.config import TrainConfig
from utkface.io import UserError, replacing, run_command

FOLDER = Path(__file__).parents[2] / "results" / "curves"
METRICS = (
    "score", "smooth_score", "age_mae", "gender_error", "gender_log_loss",
    "calibrated_gender_log_loss", "worst_group_mae", "train_loss", "lr", "time_s", "cpu_time_s",
)  # fmt: skip
CONFIG = tuple(field.name for field in dataclasses.fields(TrainConfig))
DEFAULTS = TrainConfig().to_dict()
NUM_RESAMPLES = 1000


def read_curves(path: Path = FOLDER / "curves.parquet") -> pd.DataFrame:
    """Return the table of ``results/curves``, whose README describes its columns.

    A field of the configuration that is younger than the table has its default.
    """
    if not path.is_file():
        raise UserError(f"{path} is not there; make it with tests/benchmarks/curves.py RUN")
    table = pd.read_parquet(path)
    younger = {name: DEFAULTS[name] for name in CONFIG if name not in table}
    return table.assign(**younger)


def make_table(runs: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the curves of all finished trials, and a row on each of the runs.

    A trial that failed before its first epoch has one row of epoch 0 without metrics.
    """
    rows: list[dict[str, Any]] = []
    abouts = []
    for name in runs:
        run = read_run(FOLDER.parent, name)
        finished = [record for record in run.records if record.state in ("COMPLETE", "FAIL")]
        if any(record.state == "PRUNED" for record in run.records):
            raise UserError(f"{run.name} stopped trials early; give one of --scheduler none")
        search, data = run.search, run.search.data
        again = [record for record in trained_again(name) if record.state == "COMPLETE"]
        options = search.options
        abouts.append(
            {
                "run": run.name, "space": search.space, "max_epochs": options.max_epochs,
                "image_size": options.image_size, "seed": options.seed,
                "faces": data.num_train, "validation": data.num_val, "trials": len(finished),
                "of": options.num_trials, "trained again": len(again),
            }
        )  # fmt: skip
        for record in [*finished, *again]:
            config = {name: record.config.get(name, DEFAULTS[name]) for name in CONFIG}
            is_point = any(point.items() <= config.items() for point in search.points)
            trial = {
                "run": run.name, "again": record in again, "trial": record.number,
                "state": record.state, "is_point": is_point,
            }  # fmt: skip
            for metrics in record.epochs or [{"epoch": 0}]:
                measured = {name: metrics.get(name) for name in METRICS}
                rows.append({**trial, "epoch": metrics["epoch"], **measured, **config})
    if not rows:
        raise UserError("no trial has finished yet; wait for the first")
    return pd.DataFrame(rows), pd.DataFrame(abouts)


def trained_again(name: str) -> list[TrialRecord]:
    """Return a search's trials with fresh seeds, which have numbers of their own."""
    journal = SearchFolder.find(FOLDER.parent, name).journal
    return read_study(journal, CONFIRM_STUDY) if journal.is_file() else []


def by_epoch(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one metric of the complete trials, one row per (run, trial), one column per epoch."""
    searched = table[(table["state"] == "COMPLETE") & ~table["again"]]
    return searched.pivot_table(index=["run", "trial"], columns="epoch", values=metric)


def ends(table: pd.DataFrame, again: bool = False) -> pd.DataFrame:
    """Return the last row of each complete trial of a search, or of each that was trained again."""
    complete = table[(table["state"] == "COMPLETE") & (table["again"] == again)]
    return complete.groupby(["run", "trial"]).last()


def kinds(table: pd.DataFrame) -> dict[str, pd.Index]:
    """Return the complete trials of each kind by name: by schedule, freezing, and how they end."""
    trials = ends(table)
    one_cycle, late = trials["schedule"] == "one_cycle", trials["pct_start"] >= 0.3
    return {
        "all": trials.index,
        "one_cycle, pct_start < 0.3": trials.index[one_cycle & ~late],
        "one_cycle, pct_start ≥ 0.3": trials.index[one_cycle & late],
        "constant": trials.index[trials["schedule"] == "constant"],
        "step": trials.index[trials["schedule"] == "step"],
        "backbone trained from the start": trials.index[trials["freeze_epochs"] == 0],
        "backbone frozen at first": trials.index[trials["freeze_epochs"] > 0],
        "better half": trials.index[trials["score"] <= trials["score"].median()],
    }


def spearman_interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Return Spearman's correlation and its 95 % interval, by bootstrap over trials."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(one), size=(NUM_RESAMPLES, len(one)))
    ranks = (rankdata(values[draws], axis=1) - (len(one) + 1) / 2 for values in (one, other))
    a, b = (r / np.maximum(np.linalg.norm(r, axis=1, keepdims=True), 1e-9) for r in ranks)
    return float(spearmanr(one, other).statistic), *np.quantile((a * b).sum(1), [0.025, 0.975])


def rank_correlations(table: pd.DataFrame, metric: str, end: str) -> pd.DataFrame:
    """Return how well ``metric`` at each epoch ranks trials of a kind as ``end`` does at last."""
    values, last = by_epoch(table, metric), by_epoch(table, end).iloc[:, -1]
    lines = {}
    for name, trials in kinds(table).items():
        if len(trials) < 5:
            continue
        cells = {
            f"epoch {epoch}": "{:.2f} ({:.2f} to {:.2f})".format(
                *spearman_interval(values.loc[trials, epoch].to_numpy(), last[trials].to_numpy())
            )
            for epoch in values.columns[: len(values.columns) - (metric == end)]
        }
        lines[f"{name} ({len(trials)})"] = cells
    return pd.DataFrame(lines).T


def seed_noise(table: pd.DataFrame) -> pd.DataFrame | None:
    """Return the standard deviation between seeds of one configuration, None without such seeds.

    It is pooled over the configurations: the root of their mean variance.
    """
    searched = ends(table)
    same = [name for name in CONFIG if name != "seed"]
    metrics = ["score", "smooth_score", "age_mae", "gender_error"]
    groups = pd.concat([searched, ends(table, again=True)]).groupby(same, dropna=False)[metrics]
    variances = groups.var()[groups.size() > 1]
    if variances.empty:
        return None
    spread = searched[metrics].std()
    noise = pd.DataFrame({"noise of a seed": variances.mean() ** 0.5, "between trials": spread})
    return noise.assign(configurations=len(variances))


def describe(table: pd.DataFrame, abouts: pd.DataFrame) -> str:
    """Return the README of the folder."""
    last = ends(table)
    costs = by_epoch(table, "cpu_time_s").sum(axis=1)
    varied = [name for name in CONFIG if name != "seed" and len(last[name].unique()) > 1]
    ranges = pd.DataFrame({"values": {name: _range(last[name]) for name in varied}})
    quantiles = last[["score", "smooth_score", "age_mae", "gender_error", "worst_group_mae"]]
    noise = seed_noise(table)
    num_failed = table[table["state"] == "FAIL"].groupby(["run", "trial"]).ngroups
    parts = [
        "# Learning curves",
        f"`curves.parquet` holds {len(last)} complete trials of {int(last['epochs'].max())} epochs"
        f" and {num_failed} failed ones, of searches without early stopping over random "
        "configurations. It serves to compare samplers and rules of early stopping without "
        "training anything (`tests/benchmarks/search_efficiency.py`).",
        "One row per trial and epoch. `run`, `trial`: where it is from. `state`: COMPLETE, or FAIL "
        "where the training broke off; its rows are those until then (epoch 0 without metrics if "
        "there were none). The metrics are those of the validation faces after the epoch, lower "
        "is better; `age_mae` in years, the log losses in nats. `score` is the mean of age MAE / "
        "4.731 and gender error / 0.061; `smooth_score` has calibrated log loss / 0.155 in the "
        "second place. `cpu_time_s` is what the epoch cost a worker of one thread; `time_s` passed "
        "on the clock, with neighbours on the machine. All other columns are the configuration "
        "(`utkface.config.TrainConfig`); a parameter that another one switches off has its "
        "default. `is_point` marks the space's starting points, which are no random draws; `again` "
        "the best trials once more with fresh seeds (`--finalists`), with numbers of their own.",
        "Made by `python tests/benchmarks/curves.py RUN [RUN ...]`; this file as well. Read it "
        "with `pandas.read_parquet`.",
        "## Runs",
        markdown(abouts.set_index("run")),
        "## At the last epoch",
        markdown(quantiles.quantile([0, 0.1, 0.25, 0.5, 0.75, 1]).round(3), "quantile"),
        f"A trial took {costs.median():.0f} s of one core (median; {costs.min():.0f} to "
        f"{costs.max():.0f}).",
        "## Noise of a seed",
        "Standard deviations at the last epoch; that of a seed is pooled over configurations.\n\n"
        + markdown(noise.round(4), "metric")
        if noise is not None
        else "No configuration was trained with several seeds yet.",
        "## How well an epoch ranks the trials",
        "Spearman's correlation with the last epoch, with its 95 % interval (bootstrap over "
        "trials).",
    ]
    for metric, end in [("smooth_score",) * 2, ("score",) * 2, ("smooth_score", "score")]:
        correlations = rank_correlations(table, metric, end)
        parts += [f"`{metric}` against the last `{end}`:", markdown(correlations, "trials")]
    parts += ["## What varies", markdown(ranges, "parameter")]
    return "\n\n".join(parts) + "\n"


def markdown(table: pd.DataFrame, corner: str = "") -> str:
    """Return a table as Markdown."""
    lines = [[corner or table.index.name or "", *map(str, table.columns)]]
    lines += [["---"] * len(lines[0])]
    lines += [[str(name), *map(_cell, row)] for name, row in zip(table.index, table.to_numpy())]  # noqa: B905
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(values: "pd.Series[Any]") -> str:
    if values.nunique() <= 5:
        return ", ".join(map(str, sorted(values.unique())))
    return f"{values.min():.3g} to {values.max():.3g}"


def main() -> None:
    """Write both files and print the README."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="name or folder of a search")
    table, abouts = make_table(parser.parse_args().runs)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with replacing(FOLDER / "curves.parquet") as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")
    text = describe(table, abouts)
    with replacing(FOLDER / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    run_command(main)
