"""One W&B run that sums up a search: its trials as a table, its report and its best model."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune.checkpoints import CheckpointStore
from tune.records import TrialRecord, rank_complete, search_objectives
from tune.report.analysis import last_metrics
from tune.report.tables import trials_table
from tune.tracking.files import copies_in, log_file
from tune.tracking.runs import RunOpener

#: What the run says of the search in its configuration, by the names of search.json.
_FACTS = (
    "space", "question", "command", "seed", "num_trials", "max_epochs", "image_size", "sampler",
    "scheduler", "rungs", "split", "weights", "data", "hardware", "versions", "commit",
)  # fmt: skip


def log_summary(
    opener: RunOpener,
    search: Mapping[str, Any],
    records: Sequence[TrialRecord],
    report: Path | None,
    checkpoints: CheckpointStore | None,
) -> None:
    """Write the summary run of a search that ended, finished or not; resumed, the same run goes on.

    ``checkpoints`` has the state of the best trial, which becomes a model for `utkface.predict`.
    """
    ended = [record for record in records if record.state != "RUNNING"]
    config = {name: search[name] for name in _FACTS if name in search}
    run = opener.open("summary", f"{search['name']}-summary", "summary", config)
    try:
        finished = len(ended) >= search.get("num_trials", 0)
        run.tags = (*opener.tags, "finished" if finished else "unfinished")
        best = next(iter(rank_complete(records, search_objectives(search))), None)
        run.summary.update(_figures(ended, best))
        with copies_in(opener.wandb_folder), tempfile.TemporaryDirectory() as folder:
            # At a step of its own by the number of trials: a search that is resumed only to end
            # again adds nothing.
            run.log({"trials": _table(records)}, step=len(ended), commit=True)
            if report is not None:
                log_file(run, f"{opener.id_prefix}-report", "report", report, {})
            if best is not None and checkpoints is not None:
                path = _write_model(Path(folder), search, best, checkpoints)
                about = {"trial": best.number, "score": best.score, **best.config}
                if path is not None:
                    log_file(run, f"{opener.id_prefix}-model", "model", path, about)
    finally:
        run.finish(exit_code=0)


def _figures(ended: Sequence[TrialRecord], best: TrialRecord | None) -> dict[str, Any]:
    counts = Counter(record.state for record in ended)
    names = {"COMPLETE": "complete", "PRUNED": "stopped_early", "FAIL": "failed"}
    figures: dict[str, Any] = {f"num_{name}": counts[state] for state, name in names.items()}
    if best is not None:
        metrics = {f"best_{name}": value for name, value in last_metrics(best).items()}
        figures |= {"best_trial": best.number, "best_score": best.score, **metrics}
    return figures


def _table(records: Sequence[TrialRecord]) -> Any:
    import wandb

    table = trials_table(records)
    cells = table.astype(object).where(table.notna(), None)
    return wandb.Table(columns=list(cells.columns), data=cells.to_numpy(), allow_mixed_types=True)


def _write_model(
    folder: Path, search: Mapping[str, Any], best: TrialRecord, checkpoints: CheckpointStore
) -> Path | None:
    """Write the best trial's model as `utkface.predict` reads it; None where its state is gone."""
    from utkface.config import TrainConfig
    from utkface.model import TrainedModel, averaged_model, save_model

    state = checkpoints.load(best.number)
    if state is None:
        return None
    data = search.get("data") or {}
    about = {"run": search["name"], "trial": best.number, "commit": search.get("commit"), **data}
    config = TrainConfig.from_dict(best.config)
    path = folder / "model.pt"
    save_model(path, TrainedModel(averaged_model(state), config, about))
    return path
