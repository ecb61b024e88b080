"""One W&B run that sums a retraining up: what its models reach on the faces kept for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tune.tracking.files import copies_in, log_file
from tune.tracking.runs import RunOpener

#: What the run says of the evaluation in its configuration, by the names of evaluation.json.
_FACTS = (
    "search", "command", "commit", "versions", "hardware", "data", "image_size", "epochs", "flip",
)  # fmt: skip
_COLUMNS = ("label", "protocol", "part", "headline", "num_seeds", "num_faces")


def log_evaluation(opener: RunOpener, evaluation: Mapping[str, Any], folder: Path) -> None:
    """Write the run of an evaluation; evaluated anew, the same run goes on.

    ``folder`` is the retraining's. Of its two pages the one without photographs goes to W&B: the
    faces are nobody's to upload.
    """
    config = {name: evaluation[name] for name in _FACTS if name in evaluation}
    run = opener.open("evaluation", f"{evaluation['name']}-evaluation", "evaluate", config)
    try:
        rows = evaluation["rows"]
        run.tags = (*opener.tags, *sorted({row["protocol"] for row in rows}))
        first = [row for row in rows if row["label"] == rows[0]["label"]]
        for row in first:  # one for each protocol
            for name, metric in row["overall"].items():
                run.summary.update({f"{row['part']}/{row['protocol']}/{name}": metric["value"]})
        num_models = sum(len(row["seeds"]) for row in rows)
        with copies_in(opener.wandb_folder):
            run.log({"models": _table(evaluation)}, step=num_models, commit=True)
            page = folder / "evaluation_without_faces.html"
            log_file(run, f"{opener.id_prefix}-evaluation", "report", page, {})
            about = {"label": rows[0]["label"], "protocol": rows[0]["protocol"]}
            model = folder / "model.pt"
            log_file(run, f"{opener.id_prefix}-model", "model", model, about)
    finally:
        run.finish(exit_code=0)


def _table(evaluation: Mapping[str, Any]) -> Any:
    """Return a row for each model and baseline: every metric with the ends of its interval."""
    import wandb

    models = [{**row, "num_seeds": len(row["seeds"])} for row in evaluation["rows"]]
    models += evaluation["baselines"]
    metrics = list(models[0]["overall"])
    ends = ("value", "low", "high")
    columns = [*_COLUMNS, *(f"{name}/{end}" for name in metrics for end in ends)]
    data = [
        [row.get(column) for column in _COLUMNS]
        + [row["overall"].get(name, {}).get(end) for name in metrics for end in ends]
        for row in models
    ]
    cells = pd.DataFrame(data, columns=columns, dtype=object)
    return wandb.Table(columns=list(cells.columns), data=cells.to_numpy(), allow_mixed_types=True)
