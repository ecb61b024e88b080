"""Which configurations are retrained: the best of a search, or those of files.

Nothing slow is imported, so that a search that is not there is told at once.
"""

import csv
import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from search_spaces.common import REFERENCE_SETTINGS
from tune.options.retrain import FINAL_TOP_K, RetrainOptions
from tune.records.retrain import BestRecord, Finalist
from tune.records.run_folder import FINISHED, SearchFolder
from utkface.config import TrainConfig
from utkface.io import UV_RUN, UserError

_REFERENCE = "reference:"
_SEARCH = f"{UV_RUN}python tune/run_search.py"


def find_search(options: RetrainOptions) -> SearchFolder | None:
    """Return the search to take finalists from: by default the newest of one's own that has any.

    It may have been interrupted: the best of what there is can be retrained. None where
    configurations were given instead. Raises `UserError` where there is no such search.
    """
    if options.config:
        return None
    if options.search is not None:
        folder = SearchFolder.find(options.results, options.search)
        if not folder.best.is_file():
            raise UserError(
                f"no trial of {folder.path.name} has run all its epochs, so it has no best "
                f"configuration; let it go on with {_SEARCH} --resume "
                f"{folder.path.name}, or give a configuration with --config"
            )
        return folder
    own = SearchFolder.own(options.results)
    with_best = [folder for folder in own if folder.best.is_file()]
    if with_best:
        return with_best[-1]
    if own:
        raise UserError(
            f"no trial of your searches in {options.results} has run all its epochs yet; let the "
            f"newest go on with {_SEARCH} --resume"
        )
    examples = SearchFolder.names(options.results)
    hint = f" ({len(examples)} came with the code: --search {examples[-1]})" if examples else ""
    raise UserError(
        f"there is no search of yours in {options.results}{hint}; run this first: "
        f"{_SEARCH} --space oversampling"
    )


def describe_progress(folder: SearchFolder) -> str:
    """Return in one line which search is retrained, and how far it came."""
    record = folder.record
    try:
        with (folder.path / "trials.csv").open(newline="") as file:
            states = Counter(row["state"] for row in csv.DictReader(file))
    except (OSError, KeyError) as error:
        raise UserError(
            f"{folder.path / 'trials.csv'} cannot be read ({error}); was the run copied whole?"
        ) from error
    num_complete, ended = states["COMPLETE"], states.total() - states["RUNNING"]
    how_far = (
        f"{ended} of {record.options.num_trials} trials ended, {num_complete} of them complete"
    )
    if record.status == FINISHED:
        return f"{folder.path.name}, finished: {how_far}"
    return (
        f"{folder.path.name}, {record.status}: {how_far}; its best may be yet to come "
        f"({_SEARCH} --resume {shlex.quote(folder.path.name)})"
    )


def find_finalists(options: RetrainOptions, search: SearchFolder | None) -> list[Finalist]:
    """Return the configurations to retrain, best first; ``search`` as from `find_search`."""
    if search is None:
        return [_from_name(name) for name in options.config or []]
    finalists = [
        Finalist(f"trial {best.trial}", TrainConfig.from_dict(best.config))
        for best in BestRecord.read(search.best).finalists
    ]
    if options.top_k is not None and options.top_k > len(finalists):
        raise UserError(
            f"{search.path.name} names {len(finalists)} finalists, not {options.top_k}; ask for "
            "fewer with --top-k"
        )
    return finalists[: options.top_k or (1 if options.folds else FINAL_TOP_K)]


def _from_name(name: str) -> Finalist:
    if name.startswith(_REFERENCE):
        setting = name.removeprefix(_REFERENCE)
        if setting not in REFERENCE_SETTINGS:
            known = ", ".join(_REFERENCE + known for known in REFERENCE_SETTINGS)
            raise UserError(f"--config {name} is unknown; allowed: {known}, or a JSON file")
        label = f"reference: {setting.replace('-', ' ')}"
        return Finalist(label, TrainConfig.from_dict(REFERENCE_SETTINGS[setting]))
    path = Path(name)
    try:
        values: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"--config {name} cannot be read as JSON ({error}); give a file of hyperparameters, "
            "such as best.json of a search"
        ) from error
    if isinstance(values, dict) and isinstance(values.get("config"), dict):
        values = values["config"]  # a search's best.json
    if not isinstance(values, dict):
        raise UserError(f"--config {name} holds no hyperparameters; give an object of names")
    return Finalist(path.stem, TrainConfig.from_dict(values))
