"""What is retrained: the best of a search, by its own validation, or configurations from files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Return the search to take finalists from, by default the newest finished one.

    None where configurations were given instead. Raises `UserError` where there is none, or it is
    unfinished, or none of its trials had the full budget.
    """
    if options.config:
        return None
    if options.search is not None:
        folder = RunFolder.find(options.results, options.search)
        status = folder.record.get("status")
        if status != FINISHED:
            raise UserError(
                f"{folder.path.name} is {status}, and its best trial may be yet to come; finish "
                f"it first: python tune/run_search.py --resume {folder.path.name}"
            )
    else:
        folder = _newest_finished(options.results)
    if not (folder.path / "best.json").is_file():
        raise UserError(
            f"no trial of {folder.path.name} ran all its epochs, so it has no best configuration; "
            "search with more trials, or give one with --config"
        )
    return folder


def find_finalists(options: RetrainOptions, search: RunFolder | None) -> list[Finalist]:
    """Return the configurations to retrain, best first; ``search`` as from `find_search`."""
    if search is None:
        return [_from_name(name) for name in options.config or []]
    path = search.path / "best.json"
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
    wanted = max(options.top_k, options.confirm)
    if wanted > len(finalists):
        raise UserError(
            f"{search.path.name} names {len(finalists)} finalists, not {wanted}; ask for fewer "
            "with --top-k or --confirm"
        )
    return finalists[:wanted]


def _newest_finished(results: Path) -> RunFolder:
    folders = [RunFolder(results / name) for name in RunFolder.names(results)]
    finished = [folder for folder in folders if folder.record.get("status") == FINISHED]
    if not finished:
        there_are = f"{len(folders)} unfinished" if folders else "no searches"
        raise UserError(
            f"there is no finished search in {results} ({there_are}); run "
            "tune/run_search.py, finish one with --resume, or give --config"
        )
    return max(finished, key=lambda folder: folder.record["created"])


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
