"""What is retrained, checked before anything is written or started.

It is the best of a search, by its own validation, or configurations from files.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from search_spaces.common import REFERENCE_SETTINGS
from tune.console import labelled
from tune.options.retrain import RetrainOptions
from tune.records.retrain import INTERVAL, RETRAIN, BestRecord, Job, RetrainRecord
from tune.records.run_folder import FINISHED, SearchFolder
from utkface.config import TrainConfig
from utkface.data import Faces, Split, find_source, load_faces, make_split
from utkface.io import UV_RUN, UserError
from utkface.model import build_model

_REFERENCE = "reference:"
_SEARCH = f"{UV_RUN}python tune/run_search.py"


@dataclass(frozen=True)
class Finalist:
    """A configuration to retrain, before epochs, image size and seed are set."""

    label: str
    config: TrainConfig


@dataclass(frozen=True)
class Plan:
    """A retraining's ingredients: nothing has been written or started yet."""

    options: RetrainOptions  # with search, weights and data as decided
    finalists: list[Finalist]
    faces: Faces
    splits: dict[str, Split]  # by protocol
    weights: str

    @property
    def name(self) -> str:
        """What the folder is named after."""
        if self.options.search is not None:
            return f"retrain-{self.options.search}"
        labels = {finalist.label.partition(":")[0] for finalist in self.finalists}
        return f"retrain-{labels.pop()}" if len(labels) == 1 else "retrain-configurations"

    @property
    def question(self) -> str:
        """What is trained, in a line for people."""
        first = self.finalists[0].config
        labels = [finalist.label for finalist in self.finalists]
        splits = " and ".join(self.options.splits)
        size, epochs = f"{first.image_size} px", f"epochs: {first.epochs}"
        return ", ".join([*labels, f"{splits} split", f"seeds: {self.options.seeds}", size, epochs])

    def jobs(self) -> list[Job]:
        """Return the models to train: of each finalist, best first, and for intervals."""
        options = self.options
        jobs = self._jobs(
            self.finalists, RETRAIN, options.splits, options.part, range(options.seeds)
        )
        # Several configurations of the user's are compared: none of them is the result.
        is_comparison = options.search is None and len(self.finalists) > 1
        if options.intervals and options.part == "test" and not is_comparison:
            headline, protocol = self.finalists[:1], options.splits[:1]
            jobs += self._jobs(headline, INTERVAL, protocol, "validation", range(1))
        return jobs

    def _jobs(
        self,
        finalists: list[Finalist],
        purpose: str,
        protocols: list[str],
        part: str,
        seeds: range,
    ) -> list[Job]:
        return [
            Job(
                purpose=purpose,
                label=finalist.label,
                protocol=protocol,
                part=part,
                seed=seed,
                config=finalist.config.replace(seed=seed).to_dict(),
            )
            for finalist in finalists
            for protocol in protocols
            for seed in seeds
        ]


def prepare(options: RetrainOptions) -> Plan:
    """Find, load and check everything; raises `UserError` for whatever is wrong."""
    search = find_search(options)
    searched = search.record if search else None
    finalists = [
        Finalist(finalist.label, _with_options(finalist.config, options))
        for finalist in find_finalists(options, search)
    ]
    if len({finalist.label for finalist in finalists}) < len(finalists):
        raise UserError("two configurations of --config have one name; rename one of the files")
    then = searched.options if searched else None
    decided = dataclasses.replace(
        options,
        search=searched.name if searched else None,
        weights=options.weights
        or _weights_here(then.weights if then else None, finalists[0].config),
        data=options.data or _data_here(then.data if then else None),
    )
    if search is not None:
        print(labelled("search", describe_search(search)))
    plan = _load(decided, finalists)
    if search is not None:
        _refuse_other_faces(search, plan.faces)
    return plan


def prepare_resumed(options: RetrainOptions, record: RetrainRecord) -> Plan:
    """Prepare to go on from ``retrain.json``: neither search nor configuration files are needed.

    Raises `UserError` for whatever is wrong.
    """
    finalists = [
        Finalist(entry.label, TrainConfig.from_dict(entry.config)) for entry in record.finalists
    ]
    plan = _load(options, finalists)
    if plan.faces.fingerprint != record.data.fingerprint:
        raise UserError(
            f"the faces have changed since {record.name} began; give the old ones "
            "with --data, or start a new retraining"
        )
    return plan


def _load(options: RetrainOptions, finalists: list[Finalist]) -> Plan:
    """Load the faces and split them; ``options`` name the weights."""
    sizes = {finalist.config.image_size for finalist in finalists}
    if len(sizes) > 1:
        raise UserError(
            f"the configurations are for images of {' and '.join(map(str, sorted(sizes)))} px; "
            "give one size for all with --image-size"
        )
    weights = options.weights
    assert weights is not None
    for finalist in finalists:  # downloads them once, for all workers of this machine
        build_model(finalist.config, weights)
    faces = load_faces(options.data or find_source(), sizes.pop())
    splits = {protocol: make_split(faces.table, protocol) for protocol in options.splits}
    return Plan(options, finalists, faces, splits, weights)


def _weights_here(recorded: str | None, config: TrainConfig) -> str:
    """Return the weights that a search began with, or torchvision's where its file is not here."""
    if recorded in (None, "imagenet", "none") or Path(recorded).is_file():
        return recorded or "imagenet"
    try:
        build_model(config, "imagenet")
    except UserError as error:
        raise UserError(
            f"the weights {recorded} that the search began with are not on this machine; give "
            "them with --weights PATH"
        ) from error
    print(labelled("weights", f"{recorded} of the search is not here; torchvision's are taken"))
    return "imagenet"


def _data_here(recorded: list[str] | None) -> list[str] | None:
    """Return where a search had its faces from, or None, for this machine's, if that is gone."""
    if recorded is None or recorded in (["demo"], ["kaggle"]) or all(map(_exists, recorded)):
        return recorded
    print(labelled("data", f"{' '.join(recorded)} of the search is not here; this machine's then"))
    return None


def _exists(path: str) -> bool:
    return Path(path).exists()


def _with_options(config: TrainConfig, options: RetrainOptions) -> TrainConfig:
    """Return a configuration at the image size and for the epochs that were asked for."""
    asked = {
        "epochs": options.epochs,
        "image_size": options.image_size,
        "initial_image_size": options.initial_image_size,
    }
    return config.replace(**{name: value for name, value in asked.items() if value is not None})


def _refuse_other_faces(search: SearchFolder, faces: Faces) -> None:
    then = search.record.data
    if then.fingerprint != faces.fingerprint:
        raise UserError(
            f"{search.path.name} searched {then.num_faces} faces from {then.source}, but "
            f"{faces.source} holds {len(faces.table)} others or changed ones; give the old faces "
            f"with --data, or train on these with --config {search.path / 'best.json'}"
        )


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


def describe_search(folder: SearchFolder) -> str:
    """Return in one line which search is retrained, and how far it came."""
    record = folder.record
    table = pd.read_csv(folder.path / "trials.csv")
    num_complete = int((table["state"] == "COMPLETE").sum())
    ended = int((table["state"] != "RUNNING").sum())
    how_far = f"{ended} of {record.num_trials} trials ended, {num_complete} of them complete"
    if record.status == FINISHED:
        return f"{folder.path.name}, finished: {how_far}"
    return (
        f"{folder.path.name}, {record.status}: {how_far}; its best may be yet to come "
        f"({_SEARCH} --resume)"
    )


def find_finalists(options: RetrainOptions, search: SearchFolder | None) -> list[Finalist]:
    """Return the configurations to retrain, best first; ``search`` as from `find_search`."""
    if search is None:
        return [_from_name(name) for name in options.config or []]
    finalists = [
        Finalist(f"trial {best.trial}", TrainConfig.from_dict(best.config))
        for best in BestRecord.read(search.best).finalists
    ]
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
