"""What must not have changed since a search began, if it is to go on."""

from tune.cluster import Resources
from tune.records.search import SearchRecord
from tune.search.prepare import Prepared
from tune.spaces.space import describe_change
from utkface.io import UserError


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
    if (search.weights_hash or search.weights) not in (
        prepared.weights.fingerprint, prepared.options.weights
    ):  # fmt: skip
        raise UserError(
            f"the first weights are others than when {search.name} began: {search.weights} then, "
            f"{prepared.options.weights} now; give the old ones with --weights, or start a new "
            "search"
        )
    change = describe_change(search.space_signature, prepared.space.signature())
    if change:
        raise UserError(
            f"the space has changed since {search.name} began: {change}; "
            "change it back, or start a new search"
        )


def refuse_another_device(search: SearchRecord, resources: Resources, anyway: bool) -> None:
    """Raise `UserError` where trials of one study would come from CPUs and from GPUs."""
    then, now_ = ("GPU" if gpus else "CPU" for gpus in (
        search.gpus_per_trial, resources.gpus_per_trial
    ))  # fmt: skip
    if then != now_ and not anyway:
        raise UserError(
            f"the trials of {search.name} ran on a {then}, these would run on a {now_}, whose "
            f"numbers differ; go on on a {then}, or mix them with --resume-anyway"
        )
