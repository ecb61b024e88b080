"""What is retrained: the best of a search, by its own validation, or configurations from files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from search_spaces.common import REFERENCE_SETTINGS
from tune.retrain.options import RetrainOptions
from tune.run_folder import FINISHED, RunFolder
from utkface.config import TrainConfig
from utkface.io import UserError

_REFERENCE = "reference:"


@dataclass(frozen=True)
class Finalist:
    """A configuration to retrain, before epochs, image size and seed are set."""

    label: str
    config: TrainConfig


def find_search(options: RetrainOptions) -> RunFolder | None:
    """Return the search to take finalists from: by default the newest of one's own that has any.

    It may have been interrupted: the best of what there is can be retrained. None where
    configurations were given instead. Raises `UserError` where there is no such search.
    """
    if options.config:
        return None
    if options.search is not None:
        folder = RunFolder.find(options.results, options.search)
        if not folder.best.is_file():
            raise UserError(
                f"no trial of {folder.path.name} has run all its epochs, so it has no best "
                f"configuration; let it go on with python tune/run_search.py --resume "
                f"{folder.path.name}, or give a configuration with --config"
            )
        return folder
    own = RunFolder.own(options.results)
    with_best = [folder for folder in own if folder.best.is_file()]
    if with_best:
        return with_best[-1]
    if own:
        raise UserError(
            f"no trial of your searches in {options.results} has run all its epochs yet; let the "
            "newest go on with python tune/run_search.py --resume"
        )
    examples = RunFolder.names(options.results)
    hint = f" ({len(examples)} came with the code: --search {examples[-1]})" if examples else ""
    raise UserError(
        f"there is no search of yours in {options.results}{hint}; run this first: "
        "python tune/run_search.py --space oversampling"
    )


def describe_search(folder: RunFolder) -> str:
    """Return in one line which search is retrained, and how far it came."""
    record = folder.record
    table = pd.read_csv(folder.path / "trials.csv")
    num_complete = int((table["state"] == "COMPLETE").sum())
    ended = int((table["state"] != "RUNNING").sum())
    how_far = f"{ended} of {record['num_trials']} trials ended, {num_complete} of them complete"
    if record["status"] == FINISHED:
        return f"{folder.path.name}, finished: {how_far}"
    return (
        f"{folder.path.name}, {record['status']}: {how_far}; its best may be yet to come "
        "(python tune/run_search.py --resume)"
    )


def find_finalists(options: RetrainOptions, search: RunFolder | None) -> list[Finalist]:
    """Return the configurations to retrain, best first; ``search`` as from `find_search`."""
    if search is None:
        return [_from_name(name) for name in options.config or []]
    path = search.best
    try:
        found = json.loads(path.read_text())["finalists"]
        finalists = [
            Finalist(f"trial {entry['trial']}", TrainConfig.from_dict(entry["config"]))
            for entry in found
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read ({error!r}); was the run copied whole?") from error
    if options.top_k > len(finalists):
        raise UserError(
            f"{search.path.name} names {len(finalists)} finalists, not {options.top_k}; ask for "
            "fewer with --top-k"
        )
    return finalists[: options.top_k]


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
