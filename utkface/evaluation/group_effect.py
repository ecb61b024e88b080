"""``python -m utkface.evaluation.group_effect BEFORE AFTER``: what weights did, to whom.

Two models on the same faces, before and after training with group weights: the weak groups that
were drawn more often, all of them together, and the rest, which may have paid for it. Differences
are paired, with bootstrap intervals over groups of copies.

Groups that were chosen because they looked bad on some faces look better there the next time, by
chance alone (regression to the mean): shrinking makes that small, not nothing. So a gain on the
validation faces that the weights were made from is a lead, not a proof; ``--part test`` is one.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utkface.config import TrainConfig
from utkface.evaluation.row import paired_difference
from utkface.evaluation.stored_predictions import StoredPredictions, read_predictions
from utkface.evaluation.weak_groups import weights_file
from utkface.evaluation.weakness import face_errors
from utkface.io import UserError, run_command
from utkface.sampling import GroupWeight, parse_weights

WEAK, REST, ALL = "all weak groups", "the rest", "all faces"


def compare_groups(
    groups: list[GroupWeight],
    before: StoredPredictions,
    after: StoredPredictions,
    *,
    num_resamples: int = 2000,
) -> pd.DataFrame:
    """Return how each group, all together, the rest and all faces fared; one row each.

    Columns: group, num_faces, and for age_mae (years) and gender_accuracy (share) ``_before``,
    ``_after``, ``_change`` (after minus before), ``_low`` and ``_high``. Groups without a face are
    left out. Raises `UserError` where the two are not of the same faces.
    """
    _check_same_faces(before, after)
    faces = before.faces
    labels = [faces[name].to_numpy() for name in ("age", "gender", "race")]
    inside = {group.name: group.contains(*labels) for group in groups}
    weak = np.logical_or.reduce(list(inside.values()) or [np.zeros(len(faces), bool)])
    inside |= {WEAK: weak, REST: ~weak, ALL: np.ones(len(faces), bool)}
    rows = [
        {"group": name} | _compare(members, before, after, num_resamples)
        for name, members in inside.items()
        if members.any()
    ]
    return pd.DataFrame(rows)


def _check_same_faces(before: StoredPredictions, after: StoredPredictions) -> None:
    for column in ("part", "protocol"):
        one, other = getattr(before, column), getattr(after, column)
        if one != other:
            raise UserError(f"{column} {one!r} cannot be compared with {other!r}; give the same")
    if before.faces["file"].tolist() != after.faces["file"].tolist():
        raise UserError(
            f"{before.folder} and {after.folder} predicted different faces; "
            "compare retrainings with the same data and split seed"
        )


def _compare(
    members: np.ndarray, before: StoredPredictions, after: StoredPredictions, num_resamples: int
) -> dict[str, Any]:
    """Return one row of `compare_groups`, without its name."""
    faces = before.faces[members]
    predicted = [
        (model.age_years[:, members], model.gender_probability[:, members])
        for model in (before, after)
    ]
    changes = paired_difference(faces, predicted[1], predicted[0], num_resamples=num_resamples)
    means = np.array([face_errors(faces, *of_model).mean(axis=1) for of_model in predicted])
    means[:, 1] = 1 - means[:, 1]  # accuracy is what people read
    row: dict[str, Any] = {"num_faces": len(faces)}
    for metric, (value_before, value_after) in zip(
        ("age_mae", "gender_accuracy"), means.T, strict=True
    ):
        change = changes[metric]
        row |= {f"{metric}_before": value_before, f"{metric}_after": value_after}
        row |= {f"{metric}_change": change["value"]}
        row |= {f"{metric}_{end}": change[end] for end in ("low", "high")}
    return row


def read_groups(path: Path) -> tuple[list[GroupWeight], dict[str, Any]]:
    """Read the file of `utkface.evaluation.weak_groups`: the weak groups, and all it holds."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        text = TrainConfig(group_weights=found["group_weights"]).group_weights
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read weights of groups from {path} ({error}); make the file with "
            "`python -m utkface.evaluation.weak_groups FOLDER`"
        ) from error
    return parse_weights(text), found


def main(arguments: list[str] | None = None) -> None:
    """Show what training with group weights did to the weak groups and to the rest."""
    options = _parser().parse_args(arguments)
    path = options.weights or weights_file()
    groups, found = read_groups(path)
    labels = options.labels or (None, None)
    before, after = (
        read_predictions(folder, options.part, label=label, protocol=options.protocol)
        for folder, label in zip((options.before, options.after), labels, strict=True)
    )
    table = compare_groups(groups, before, after)
    print(
        f"before: {before.label} of {before.folder}, after: {after.label} of {after.folder}; "
        f"{len(before.faces):,} {before.part} faces, {before.protocol} split; groups of {path}\n"
    )
    _print(table)
    if found.get("part") == before.part:
        print(
            "\nThe groups were chosen on these faces, so part of a gain may be regression to the "
            "mean;\nretrain both with --part test and compare with --part test to be sure."
        )
    if options.output:
        table.to_csv(options.output, index=False)


def _print(table: pd.DataFrame) -> None:
    print(f"{'':22} {'faces':>6}  {'age MAE, years':^36}  {'gender accuracy, %':^36}")
    for row in table.to_dict("records"):
        cells = [
            f"{row[f'{name}_before'] * unit:6.2f} → {row[f'{name}_after'] * unit:5.2f} "
            f"{row[f'{name}_change'] * unit:+6.2f} "
            f"[{row[f'{name}_low'] * unit:+.2f}, {row[f'{name}_high'] * unit:+.2f}]"
            for name, unit in (("age_mae", 1), ("gender_accuracy", 100))
        ]
        print(f"{row['group']:22} {row['num_faces']:6,}  {cells[0]:36}  {cells[1]:36}".rstrip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m utkface.evaluation.group_effect", description=main.__doc__
    )
    parser.add_argument("before", type=Path, help="folder of `python tune/retrain_best.py`")
    parser.add_argument("after", type=Path, help="another, or the same with --labels")
    parser.add_argument("--labels", nargs=2, help="which models (default: the headlines)")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--protocol", help="which split (default: grouped, where there are both)")
    parser.add_argument("--weights", type=Path, help=f"default: {weights_file()}")
    parser.add_argument("--output", type=Path, help="also write the table, as CSV")
    return parser


if __name__ == "__main__":
    run_command(main)
