"""Weights & Biases runs of a search: how they are opened, and the two that sum everything up.

https://docs.wandb.ai/ref/python/init. wandb is slow to import, so that waits for the first run.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

import pandas as pd

from tune.execution.checkpoints import CheckpointStore
from tune.records.confirmation import confirmed_first
from tune.records.retrain import RetrainRecord
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord, last_metrics, rank_complete, trials_table

if TYPE_CHECKING:
    from utkface.evaluation.records import BaselineRow, Evaluation, Row

_INIT_TIMEOUT_S = 30.0  # per run; what cannot be reached by then is recorded offline
_FINISH_TIMEOUT_S = 30.0  # per run; what is not sent by then can be synced later
_DATA_DIR = "WANDB_DATA_DIR"  # W&B's own variable

#: What a summary says in its configuration, by the names of search.json and evaluation.json.
_OF_SEARCH = (
    "space", "question", "command", "rungs", "data", "hardware", "versions", "commit",
)  # fmt: skip
_OF_OPTIONS = (
    "seed", "num_trials", "max_epochs", "image_size", "sampler", "scheduler", "split", "weights",
)  # fmt: skip
_OF_EVALUATION = (
    "search", "command", "commit", "versions", "hardware", "data", "image_size", "epochs", "flip",
)  # fmt: skip


class RunOpener:
    """Opens W&B runs under ids that a resumed search finds again.

    Parameters: ``mode``, online or offline; the ``folder`` where wandb/ is made; the ``record`` of
    the search or retraining; ``say`` prints a line, ``warn`` is told of what goes wrong.
    """

    def __init__(
        self,
        mode: str,
        folder: Path,
        record: SearchRecord | RetrainRecord,
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.folder, self._name = folder, record.name
        self._mode, self._say, self._warn = mode, say, warn
        seed = record.options.seed if isinstance(record, SearchRecord) else None
        self._group = record.name
        if isinstance(record, RetrainRecord) and record.search:
            self._group = record.search
        # The same in all sessions. Names repeat between users and machines of one project; ids of
        # runs must not.
        identity = f"{record.name} {record.created} {seed}"
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        #: The run's name as W&B allows it in ids, and no other run's.
        self.id_prefix = f"{re.sub(r'[^A-Za-z0-9_-]', '-', record.name)[:64]}-{digest}"
        self.tags: tuple[str, ...] = ("demo faces",) if record.data.is_demo else ()
        self._project = os.environ.get("WANDB_PROJECT") or "utkface-tune"
        self._url_said = False

    def open(self, key: str, name: str, job_type: str, config: Mapping[str, object]) -> Any:
        """Return a W&B run, the same one for the same ``key`` in all sessions of a search.

        Where W&B cannot be reached, this run and all later ones are recorded offline.
        """
        try:
            run = self._init(key, name, job_type, config)
        except Exception as error:
            if self._mode == "offline":
                raise
            self._mode = "offline"
            self._warn(one_line(error))
            # The id of a run that could not be opened stays in use until this process ends.
            run = self._init(f"{key}-offline", name, job_type, config)
        if self._mode == "online" and not self._url_said:
            self._url_said = True
            self._say(f"W&B: {run.project_url}/groups/{quote(self._group, safe='')}")
        return run

    @contextlib.contextmanager
    def summary(self, key: str, job_type: str, config: Mapping[str, object]) -> Iterator[Any]:
        """Open a run that sums all up, and finish it; its files are copied within the run folder.

        W&B would leave the copies in the user's home, where those of offline runs pile up for ever.
        """
        run = self.open(key, f"{self._name}-{key}", job_type, config)
        is_set = _DATA_DIR in os.environ
        if not is_set:
            os.environ[_DATA_DIR] = str(self.folder / "wandb")
        try:
            yield run
        finally:
            if not is_set:
                del os.environ[_DATA_DIR]
            run.finish(exit_code=0)

    def log_file(
        self, run: Any, name: str, kind: str, path: Path, about: Mapping[str, object]
    ) -> None:
        """Add a file to a run as an artifact; ``about`` is what W&B shows beside it."""
        import wandb

        artifact = wandb.Artifact(f"{self.id_prefix}-{name}", type=kind, metadata=dict(about))
        artifact.add_file(str(path))  # W&B takes a copy
        run.log_artifact(artifact)

    def _init(self, key: str, name: str, job_type: str, config: Mapping[str, object]) -> Any:
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_INIT_TIMEOUT_S,
            finish_timeout=_FINISH_TIMEOUT_S,
            finish_timeout_raises=True,
            allow_val_change=True,  # a resumed search may have another number of trials
            # The driver's load says nothing about a trial, which runs elsewhere.
            x_disable_stats=True,
            disable_code=True,
            disable_git=True,
            x_save_requirements=False,
        )
        return wandb.init(
            project=self._project,
            group=self._group,
            job_type=job_type,
            name=name,
            id=f"{self.id_prefix}-{key}",
            config=dict(config),
            tags=self.tags,
            dir=str(self.folder),
            mode=cast(Literal["online", "offline"], self._mode),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )


def log_search(
    opener: RunOpener,
    search: SearchRecord,
    records: Sequence[TrialRecord],
    report: Path | None,
    checkpoints: CheckpointStore | None,
) -> None:
    """Sum up a search that ended, finished or not; resumed, the same run goes on.

    ``checkpoints`` has the state of the best trial, which becomes a model for `utkface.predict`.
    """
    ended = [record for record in records if record.state != "RUNNING"]
    complete = rank_complete(records, search.options.objectives)
    best = next(iter(confirmed_first(complete, records, search.confirmation)), None)
    config = search.model_dump(mode="json", include=set(_OF_SEARCH))
    config |= {name: getattr(search.options, name) for name in _OF_OPTIONS}
    with (
        opener.summary("summary", "summary", config) as run,
        tempfile.TemporaryDirectory() as folder,
    ):
        run.tags = (*opener.tags, "finished" if search.status == "finished" else "unfinished")
        run.summary.update(_results(ended, best))
        # At a step of its own by the number of trials: a search that is resumed only to end again
        # adds nothing.
        run.log({"trials": _table(trials_table(records))}, step=len(ended), commit=True)
        if report is not None:
            opener.log_file(run, "report", "report", report, {})
        state = checkpoints.load(best.number) if best and checkpoints else None
        if best and state:
            path = Path(folder) / "model.pt"
            _write_model(path, search, best, state)
            about = {"trial": best.number, "score": best.score, **best.config}
            opener.log_file(run, "model", "model", path, about)


def log_evaluation(opener: RunOpener, evaluation: "Evaluation", folder: Path) -> None:
    """Sum up a retraining by its evaluation; evaluated anew, the same run goes on.

    ``folder`` is the retraining's. Of its two pages the one without photographs goes to W&B: the
    faces are nobody's to upload.
    """
    from utkface.evaluation.report.findings import find_headlines

    rows, first = evaluation.rows, find_headlines(evaluation.rows)[0]
    known = {*_OF_EVALUATION} & evaluation.model_fields_set
    config = evaluation.model_dump(mode="json", include=known, exclude_unset=True)
    with opener.summary("evaluation", "evaluate", config) as run:
        run.tags = (*opener.tags, *sorted({row.protocol for row in rows}))
        for row in rows:
            if row.label == first.label:  # the headline's, one row for each protocol
                for name, metric in row.overall.items():
                    run.summary.update({f"{row.part}/{row.protocol}/{name}": metric.value})
        num_models = sum(len(row.seeds) for row in rows)
        run.log({"models": _table(_models(evaluation))}, step=num_models, commit=True)
        page = folder / "evaluation_without_faces.html"
        opener.log_file(run, "evaluation", "report", page, {})
        about = {"label": first.label, "protocol": first.protocol}
        opener.log_file(run, "model", "model", folder / "model.pt", about)


def one_line(error: Exception) -> str:
    """Return an error's first line, without the user's key should it be quoted there."""
    text = str(error) or type(error).__name__
    if key := os.environ.get("WANDB_API_KEY"):
        text = text.replace(key, "***")
    return text.splitlines()[0].strip().rstrip(".")[:200]


def _results(ended: Sequence[TrialRecord], best: TrialRecord | None) -> dict[str, Any]:
    counts = Counter(record.state for record in ended)
    names = {"COMPLETE": "complete", "PRUNED": "stopped_early", "FAIL": "failed"}
    results: dict[str, Any] = {f"num_{name}": counts[state] for state, name in names.items()}
    if best is not None:
        results |= {"best_trial": best.number, "best_score": best.score}
        results |= {f"best_{name}": value for name, value in last_metrics(best).items()}
    return results


def _models(evaluation: "Evaluation") -> pd.DataFrame:
    """Return a row for each model and baseline: every metric with the ends of its interval."""
    rows: list[Row | BaselineRow] = [*evaluation.rows, *evaluation.baselines]
    cells = [
        {
            "label": row.label,
            "protocol": row.protocol,
            "part": row.part,
            "headline": getattr(row, "headline", None),  # a baseline is none and has no seeds
            "num_seeds": len(getattr(row, "seeds", ())) or None,
            "num_faces": row.num_faces,
            **{
                f"{name}/{end}": getattr(row.metric(name), end)
                for name in rows[0].overall
                for end in ("value", "low", "high")
            },
        }
        for row in rows
    ]
    return pd.DataFrame(cells, dtype=object)


def _table(frame: pd.DataFrame) -> Any:
    import wandb

    cells = frame.astype(object).where(frame.notna(), None)
    return wandb.Table(columns=list(cells.columns), data=cells.to_numpy(), allow_mixed_types=True)


def _write_model(
    path: Path, search: SearchRecord, best: TrialRecord, state: dict[str, Any]
) -> None:
    """Write the best trial's model as `utkface.predict` reads it."""
    from utkface.config import TrainConfig
    from utkface.model import TrainedModel, averaged_model, save_model

    about = {"run": search.name, "trial": best.number, "commit": search.commit}
    about |= search.data.model_dump()
    save_model(path, TrainedModel(averaged_model(state), TrainConfig.from_dict(best.config), about))
