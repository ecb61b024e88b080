"""What goes into a search, checked before anything is written or started."""

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tune import cluster
from tune.cluster.resources import Resources
from tune.options.search import SearchOptions
from tune.records.provenance import about_run, describe_faces
from tune.records.run_folder import SearchFolder
from tune.records.search import Conditions, DataRecord, SearchRecord, WarmStart
from tune.spaces.signature import describe_change
from tune.spaces.space import Space, load_space
from tune.study.stopping import make_rule
from utkface.config import TRAINING_VERSION
from utkface.data import Faces, Split, find_source, load_faces, make_split, take_fraction
from utkface.io import UserError
from utkface.model import build_model


@dataclass(frozen=True)
class Prepared:
    """A search's ingredients, checked: nothing has been written or started yet."""

    options: SearchOptions
    space: Space
    faces: Faces
    split: Split
    weights: cluster.Weights

    def describe_data(self) -> DataRecord:
        """Return what ``search.json`` says of the data."""
        return DataRecord(
            **dict(describe_faces(self.faces)),
            split_hash=self.split.hash,
            num_train=len(self.split.train),
            num_val=len(self.split.val),
            num_test=len(self.split.test),
        )

    @property
    def conditions(self) -> Conditions:
        """What must be equal in another search for its scores to compare."""
        fingerprint = self.weights.fingerprint
        return Conditions.of(self.describe_data(), self.options, fingerprint, TRAINING_VERSION)


def prepare(options: SearchOptions) -> Prepared:
    """Load and check space, weights and faces; raises `UserError` for whatever is wrong."""
    space = load_space(options.space, fixed=options.fixed)
    options = dataclasses.replace(
        options, objective=",".join(options.objectives if options.objective else space.objectives)
    )
    examples = [config for config in space.example_configs(options.fixed) if config.pretrained]
    for config in {config.backbone: config for config in examples}.values():
        build_model(config, options.weights)  # downloads them once, for all workers of this machine
    faces = load_faces(options.data or find_source(), options.image_size)
    split = make_split(faces.table, options.split)
    split = take_fraction(split, faces.table, options.fraction, options.seed)
    return Prepared(options, space, faces, split, cluster.Weights.read(options.weights))


def join(
    stack: ExitStack, prepared: Prepared, say: Callable[[str], None] = print
) -> cluster.Joined:
    """Start Ray or join a cluster until the stack ends, and plan what trials get there."""
    options = prepared.options
    examples = prepared.space.example_configs(options.fixed)
    return cluster.join(stack, options, prepared.faces, prepared.weights, examples, say)


def rungs_of(options: SearchOptions) -> list[int]:
    """Return the epochs after which trials are judged."""
    rule = make_rule(
        options.scheduler, options.max_epochs, options.grace_epochs, options.reduction_factor
    )
    return rule.epochs


def describe_search(
    prepared: Prepared, folder: SearchFolder, resources: Resources, warm_start: WarmStart
) -> SearchRecord:
    """Return what ``search.json`` says of a search that is about to begin."""
    options, space = prepared.options, prepared.space
    return SearchRecord(
        **about_run(folder),
        space=space.name,
        question=space.question,
        space_signature=space.signature(),
        points=space.points,
        options=options,
        rungs=rungs_of(options),
        weights_hash=prepared.weights.fingerprint,
        data=prepared.describe_data(),
        concurrency=resources.concurrency,
        cpus_per_trial=resources.cpus_per_trial,
        gpus_per_trial=resources.gpus_per_trial,
        hardware=cluster.hardware(),
        warm_start=warm_start,
    )


def refuse_changes(search: SearchRecord, prepared: Prepared) -> None:
    """Raise `UserError` that says what changed since the search began, if anything that counts."""
    then, now_ = search.data, prepared.describe_data()
    for name in ("fingerprint", "split_hash"):
        before, after = getattr(then, name), getattr(now_, name)
        if before != after:
            raise UserError(
                f"the data have changed since {search.name} began: {then.num_faces} faces "
                f"from {then.source} with {name} {before[:12]} then, {now_.num_faces} "
                f"faces from {now_.source} with {after[:12]} now; give the old faces "
                "with --data, or start a new search"
            )
    weights, options = prepared.weights.fingerprint, prepared.options
    if (search.weights_hash or search.options.weights) not in (weights, options.weights):
        raise UserError(
            f"the first weights are others than when {search.name} began: "
            f"{search.options.weights} then, {options.weights} now; give the old ones "
            "with --weights, or start a new search"
        )
    change = describe_change(search.space_signature, prepared.space.signature())
    if change:
        raise UserError(
            f"the space has changed since {search.name} began: {change}; "
            "change it back, or start a new search"
        )
