"""Does a search stay quick when it is large? Its own work at more and more trials, without Ray.

    python tests/benchmarks/large_search.py [--trials 500 1000 2000 5000] [--epochs 8]

Trials of made-up curves go through the study as in a search of the `everything` space (TPE, ASHA).
Prints at each size what one suggestion, one report and one rewriting of the tables take then, the
driver's memory, and the size of journal, tables and page. "per trial" beside a column is how it
grew, from the first size to the last, as a share of how the number of trials did: 1 is in step.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from tune.options.search import SearchOptions
from tune.records.run_folder import SearchFolder
from tune.records.search import DataRecord, SearchRecord
from tune.report.page import write_report
from tune.spaces.space import load_space
from tune.study.study import SearchStudy
from utkface.evaluation.facts import Hardware

COLUMNS = (
    "trials", "suggestion, ms", "report, ms", "tables, ms", "page, s", "memory, MiB",
    "journal, MB", "tables, MB", "page, MB",
)  # fmt: skip
_NUM_TIMED = 20  # of the last suggestions


def curve(rng: np.random.Generator, params: dict[str, object], num_epochs: int) -> np.ndarray:
    """Return made-up values after each epoch: worse far from a rate of 3e-3, and falling."""
    rate = params.get("max_lr", 3e-3)
    assert isinstance(rate, float)
    end = 1.3 + 0.2 * abs(np.log10(rate / 3e-3)) + rng.normal(0, 0.02)
    return end + np.exp(-np.arange(num_epochs) / 2) + rng.normal(0, 0.02, num_epochs)


class Search:
    """A search without workers: it asks, and answers itself."""

    def __init__(self, folder: SearchFolder, num_epochs: int) -> None:
        fixed = {"epochs": num_epochs, "image_size": 64, "seed": 0}
        self.folder, self.num_epochs = folder, num_epochs
        self.space = load_space("everything", fixed=fixed)
        grace = SearchOptions(space="everything", max_epochs=num_epochs).grace_epochs
        self.study = SearchStudy(folder.journal, self.space, fixed, grace_epochs=grace)
        self.rng = np.random.default_rng(0)
        self.suggestion_s: list[float] = []
        self.report_s: list[float] = []

    def run_trial(self) -> None:
        """Suggest a trial and report its epochs until it is stopped or complete."""
        start = time.perf_counter()
        trial = self.study.next_trial()
        self.suggestion_s.append(time.perf_counter() - start)
        assert trial is not None
        for epoch, value in enumerate(curve(self.rng, trial.config, self.num_epochs), start=1):
            metrics = {
                "epoch": epoch, "score": value, "smooth_score": value, "age_mae": 4 * value,
                "gender_accuracy": 0.9, "gender_error": 0.1, "worst_group_mae": 9 * value,
                "train_loss": value, "lr": 1e-3, "images_per_s": 1000.0, "time_s": 10.0,
            }  # fmt: skip
            start = time.perf_counter()
            state = self.study.report(trial.number, metrics)
            self.report_s.append(time.perf_counter() - start)
            if state.is_finished():
                return

    def measure(self, search: SearchRecord) -> list[float]:
        """Return the row of `COLUMNS` of the search as it stands."""
        start = time.perf_counter()
        records = self.study.records()
        self.folder.write_tables(records, self.study.objectives)
        tables_s = time.perf_counter() - start
        start = time.perf_counter()
        page = write_report(search, records, self.study.study, self.folder.path / "report.html")
        page_s = time.perf_counter() - start
        tables = [self.folder.path / name for name in ("trials.csv", "best.json")]
        return [
            len(records),
            1000 * statistics.median(self.suggestion_s[-_NUM_TIMED:]),
            1000 * statistics.median(self.report_s[-5 * _NUM_TIMED :]),
            1000 * tables_s,
            page_s,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            self.folder.journal.stat().st_size / 1e6,
            sum(path.stat().st_size for path in tables if path.is_file()) / 1e6,
            page.stat().st_size / 1e6,
        ]


def made_up_record(search: Search, num_trials: int) -> SearchRecord:
    """Return what the page reads of a search's record."""
    options = SearchOptions(space="everything", max_epochs=search.num_epochs, num_trials=num_trials)
    data = DataRecord(
        source="made up", fingerprint="0" * 8, is_demo=False, num_faces=23705, num_rejected=3,
        split_hash="0" * 8, num_train=15171, num_val=3793, num_test=4741,
    )  # fmt: skip
    return SearchRecord.model_construct(
        name="everything-1", space="everything", question="?", command="", status="running",
        created="2026-01-01T00:00:00", ended=None, wall_s=0.0, commit=None, versions={},
        points=[], options=options, rungs=[2, 6], data=data, concurrency=1,
        cpus_per_trial=1.0, gpus_per_trial=0.0,
        hardware=Hardware(nodes=1, cpus=1, gpus=0, memory_gib=1),
        space_signature=search.space.signature(), wandb=None, confirmation=None,
    )  # fmt: skip


def main() -> None:
    """Print a row at each size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[500, 1000, 2000, 5000])
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    print("".join(f"{name:>16}" for name in COLUMNS))
    rows = []
    with tempfile.TemporaryDirectory() as results:
        search = Search(SearchFolder.create(Path(results), "everything"), given.epochs)
        for num_trials in given.trials:
            while search.study.num_started() < num_trials:
                search.run_trial()
            rows.append(search.measure(made_up_record(search, num_trials)))
            print("".join(f"{value:16,.1f}" for value in rows[-1]), flush=True)
    growth = np.array(rows[-1]) / np.array(rows[0])
    print("".join(f"{value:16.2f}" for value in growth / growth[0]), "per trial")


if __name__ == "__main__":
    main()
