"""From the options of a retraining to its plan: found, loaded and checked, nothing written."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tune.cluster import Weights
from tune.console import labelled
from tune.options.retrain import FINAL_EPOCHS, FINAL_SIZE, RetrainOptions
from tune.records.retrain import Finalist, RetrainRecord, file_stem
from tune.records.run_folder import SearchFolder
from tune.records.search import SearchRecord
from tune.retrain.finalists import describe_progress, find_finalists
from tune.retrain.plan import Plan
from tune.retrain.teachers import load_teachers
from utkface.config import TrainConfig
from utkface.data import Faces, find_source, load_faces, make_split
from utkface.io import UserError
from utkface.model import build_model

DEFAULT_TEACHER_WEIGHT = 0.5


def prepare(options: RetrainOptions, search: SearchFolder | None) -> Plan:
    """Load and check everything; raises `UserError` for whatever is wrong.

    ``search`` is what `find_search` found for the options.
    """
    if options.config and options.top_k is not None:
        raise UserError("--top-k is of a search's best; with --config all files are trained")
    searched = search.record if search else None
    enlarge = searched is not None and not searched.data.is_demo
    finalists = [
        Finalist(finalist.label, final_config(finalist.config, options, enlarge=enlarge))
        for finalist in find_finalists(options, search)
    ]
    _refuse_shared_files(finalists)
    weights = options.weights or _weights_here(searched)
    decided = dataclasses.replace(
        options,
        search=searched.name if searched else None,
        weights=weights,
        data=options.data or (_data_here(searched.options.data) if searched else None),
    )
    if search is not None:
        print(labelled("search", describe_progress(search)))
    _refuse_without_teacher(decided, finalists)
    check_weights(finalists, weights)
    plan = _load(decided, finalists)
    if search is not None:
        _refuse_other_faces(search, plan.faces)
    # Said before anything is trained: why a teacher may not teach, or that there are too few faces.
    split = searched.options.split if searched else None
    plan = dataclasses.replace(plan, search_split=split, teachers=load_teachers(plan))
    if decided.folds:
        _ = plan.folds
    for remark in remarks(plan):
        print(labelled("note", remark))
    return plan


def prepare_resumed(options: RetrainOptions, record: RetrainRecord) -> Plan:
    """Prepare to go on from ``retrain.json``: neither search nor configuration files are needed.

    Raises `UserError` for whatever is wrong.
    """
    finalists = [
        Finalist(entry.label, TrainConfig.from_dict(entry.config)) for entry in record.finalists
    ]
    needs_weights = options.evaluate and options.baselines and not options.folds
    if needs_weights and options.weights and _is_gone(options.weights):
        raise UserError(
            f"the weights {options.weights} that {record.name} began with are not on this machine, "
            "and the baselines need them; put them there, or evaluate with --no-baselines"
        )
    plan = _load(options, finalists)
    if plan.faces.fingerprint != record.data.fingerprint:
        raise UserError(
            f"the faces have changed since {record.name} began; give the old ones "
            "with --data, or start a new retraining"
        )
    for protocol, split in plan.splits.items():
        if record.splits.get(protocol, split.hash) != split.hash:
            raise UserError(
                f"the {protocol} split is another one than when {record.name} began, so models "
                "would be judged on faces that they learned from; go on with the versions of "
                "Pillow, imagehash and this code that it began with, or start a new retraining"
            )
    return plan


def remarks(plan: Plan) -> list[str]:
    """Say what else is to be known before these configurations are trained."""
    if plan.options.part != "test" and not plan.options.folds:
        return []  # there are validation faces
    return [
        f"{finalist.label} has schedule plateau: without validation faces the rate follows the "
        "training loss and may never fall; step and one_cycle do not depend on it"
        for finalist in plan.finalists
        if finalist.config.schedule == "plateau"
    ]


def _refuse_shared_files(finalists: Sequence[Finalist]) -> None:
    """Raise `UserError` where the models of two configurations would go to the same files."""
    label_of: dict[str, str] = {}
    for finalist in finalists:
        stem = file_stem(finalist.label)
        if stem in label_of:
            raise UserError(
                f"--config names {label_of[stem]!r} and {finalist.label!r}, whose models would go "
                f"to the same files ({stem}-*.pt); rename one of the two"
            )
        label_of[stem] = finalist.label


def _load(options: RetrainOptions, finalists: list[Finalist]) -> Plan:
    """Load the faces and split them."""
    sizes = {finalist.config.image_size for finalist in finalists}
    if len(sizes) > 1:
        raise UserError(
            f"the configurations are for images of {' and '.join(map(str, sorted(sizes)))} px; "
            "give one size for all with --image-size"
        )
    faces = load_faces(options.data or find_source(), sizes.pop())
    splits = {protocol: make_split(faces.table, protocol) for protocol in options.splits}
    return Plan(options, finalists, faces, splits)


def check_weights(finalists: Sequence[Finalist], weights: str) -> None:
    """Raise `UserError` where configurations cannot begin with the weights."""
    for finalist in finalists:  # downloads them once, for all workers of this machine
        build_model(finalist.config, weights)


def _refuse_without_teacher(options: RetrainOptions, finalists: Sequence[Finalist]) -> None:
    """Raise `UserError` for a configuration that nobody teaches, or that cannot teach."""
    for finalist in finalists:
        label, config = finalist.label, finalist.config
        if config.teacher_weight > 0 and not options.teacher:
            raise UserError(
                f"{label} has teacher_weight={config.teacher_weight:g} and no teacher; give one "
                "with --teacher RUN, or a file with teacher_weight 0 with --config"
            )
        if options.folds and config.age_loss != "dldl":
            raise UserError(
                f"{label} has age_loss={config.age_loss!r} and so predicts no distribution over "
                "ages, which a teacher must; give --folds a configuration with age_loss 'dldl'"
            )


def _is_gone(weights: str) -> bool:
    return weights not in ("imagenet", "none") and not Path(weights).is_file()


def _weights_here(search: SearchRecord | None) -> str:
    """Return the weights that a search began with; raises `UserError` where their file is gone."""
    if search is None:
        return "imagenet"
    weights = search.options.weights
    if _is_gone(weights):
        raise UserError(
            f"the weights {weights} that {search.name} began with are not here (nor in the folder "
            "you are in, if that is no whole path); give them with --weights PATH, or begin with "
            "torchvision's by --weights imagenet"
        )
    or_else = f"begin with these all the same by --weights {weights}"
    refuse_other_weights(search, Weights.read(weights), or_else)
    return weights


def refuse_other_weights(
    record: SearchRecord | RetrainRecord, weights: Weights, or_else: str = "start a new retraining"
) -> None:
    """Raise `UserError` where a run began with other weights; an older record does not say."""
    if record.weights_hash not in (None, weights.fingerprint):
        raise UserError(
            f"{weights.name} holds other weights than {record.name} began with; put those back, or "
            f"{or_else}"
        )


def _data_here(recorded: list[str] | None) -> list[str] | None:
    """Return where a search had its faces from, or None, for this machine's, if that is gone."""
    if recorded in (None, ["demo"], ["kaggle"]) or all(Path(path).exists() for path in recorded):
        return recorded
    print(labelled("data", f"{' '.join(recorded)} of the search is not here; this machine's then"))
    return None


def final_config(config: TrainConfig, options: RetrainOptions, *, enlarge: bool) -> TrainConfig:
    """Return a configuration at the image size, for the epochs and the teacher asked for.

    ``enlarge``: where nothing is asked for, a final model's size and length if they are more.
    """
    weight = options.teacher_weight or config.teacher_weight or DEFAULT_TEACHER_WEIGHT
    least_epochs, least_size = (FINAL_EPOCHS, FINAL_SIZE) if enlarge else (0, 0)
    asked = {
        "epochs": options.epochs or max(config.epochs, least_epochs),
        "image_size": options.image_size or max(config.image_size, least_size),
        "initial_image_size": options.initial_image_size,
        "teacher_weight": weight if options.teacher else None,
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
