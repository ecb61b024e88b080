"""``python -m utkface.evaluation.compare A B``: is one model better than another, and for whom?

A paired bootstrap over groups of copies on the faces that both were judged on: what is hard about a
face for both of them cancels out, so it sees differences that two separate intervals hide.

With ``--groups``, A is a model before training with group weights and B one after it: the weak
groups that were drawn more often, all of them together, and the rest, which may have paid for it.
Groups that were chosen because they looked bad on some faces look better there the next time by
chance alone (regression to the mean), so a gain on these faces is a lead; ``--part test`` proves.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utkface.data.splits import PROTOCOLS
from utkface.evaluation.evaluate import paired_difference
from utkface.evaluation.explain import describe_sides, draw_sides, find_one_sided
from utkface.evaluation.measures import ONE_SEED, compare
from utkface.evaluation.predictions import StoredPredictions, read_predictions
from utkface.evaluation.weak_groups import face_errors, read_weak_groups, weights_file
from utkface.io import UserError, replacing, run_command
from utkface.sampling import GroupWeight, parse_weights

WEAK, REST, ALL = "all weak groups", "the rest", "all faces"
_SHOWN = ("age_mae", "gender_accuracy")


def main(arguments: list[str] | None = None) -> None:
    """Compare two models that were judged on the same faces."""
    options = _parser().parse_args(arguments)
    if options.output and not options.groups:
        raise UserError("--output goes with --groups; give both, or leave --output out")
    if options.data and not options.sheets:
        raise UserError("--data goes with --sheets; give both, or leave --data out")
    if options.groups and options.sheets:
        raise UserError("--groups and --sheets are two questions; give one of them")
    part = options.part or ("validation" if options.groups else "test")
    labels = options.labels or (None, None)
    a, b = (
        read_predictions(folder, part, label=label, protocol=options.protocol)
        for folder, label in zip((options.a, options.b), labels, strict=True)
    )
    if options.groups:
        _show_groups(options.groups, a, b, options.output)
        return
    for line in compare_models(a, b):
        print(line)
    sides = find_one_sided(a, b), find_one_sided(b, a)
    for line in describe_sides(*sides):
        print(f"  {line}")
    if options.sheets:
        for path in draw_sides((a, b), sides, options.sheets, options.data):
            print(path)


def compare_models(a: StoredPredictions, b: StoredPredictions) -> list[str]:
    """Return lines that say by how much a is better or worse than b, and whether that is a fact.

    Raises `UserError` where the two were not judged on the same faces.
    """
    _check_same_faces(a, b)
    difference = paired_difference(a.faces, a.predicted, b.predicted)
    lines = [
        f"{model.label}, {model.protocol} split of {model.folder}: "
        f"{model.num_seeds} seed{'s' * (model.num_seeds != 1)}"
        for model in (a, b)
    ]
    if min(a.num_seeds, b.num_seeds) == 1:
        lines.append(ONE_SEED)
    lines.append(f"on {len(a.faces):,} {a.part} faces, {a.protocol} split, the first is")
    return lines + [f"  {said.title}: {said.text}" for said in compare(difference).values()]


def _check_same_faces(a: StoredPredictions, b: StoredPredictions) -> None:
    if not a.faces[["file", "age", "gender"]].equals(b.faces[["file", "age", "gender"]]):
        raise UserError(
            f"{a.folder} and {b.folder} hold predictions of different {a.part} faces ({a.protocol} "
            f"split: {len(a.faces)}, {b.protocol} split: {len(b.faces)}); compare runs on the same"
        )


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
    attributes = [faces[name].to_numpy() for name in ("age", "gender", "race")]
    inside = {group.name: group.contains(*attributes) for group in groups}
    weak = np.logical_or.reduce(list(inside.values()) or [np.zeros(len(faces), bool)])
    inside |= {WEAK: weak, REST: ~weak, ALL: np.ones(len(faces), bool)}
    rows = []
    for name, members in inside.items():
        if not members.any():
            continue
        of_members = faces[members]
        then, now = (
            (model.age_years[:, members], model.gender_probability[:, members])
            for model in (before, after)
        )
        changes = paired_difference(of_members, now, then, num_resamples=num_resamples)
        means = np.array([face_errors(of_members, *model).mean(axis=1) for model in (then, now)])
        means[:, 1] = 1 - means[:, 1]  # accuracy is what people read
        row: dict[str, Any] = {"group": name, "num_faces": len(of_members)}
        for metric, (mean_then, mean_now) in zip(_SHOWN, means.T, strict=True):
            change = getattr(changes, metric)
            row |= {f"{metric}_before": mean_then, f"{metric}_after": mean_now}
            row[f"{metric}_change"] = change.value
            row |= {f"{metric}_low": change.low, f"{metric}_high": change.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _show_groups(
    path: Path, before: StoredPredictions, after: StoredPredictions, output: Path | None
) -> None:
    """Print, and write as CSV, what the weights of a file did to its groups and to the rest."""
    found = read_weak_groups(path)
    table = compare_groups(parse_weights(found.group_weights), before, after)
    print(
        f"before: {before.label} of {before.folder}, after: {after.label} of {after.folder}; "
        f"{len(before.faces):,} {before.part} faces, {before.protocol} split; groups of {path}\n"
    )
    _print_groups(table)
    print(*gains_and_losses(table), sep="\n")
    if min(before.num_seeds, after.num_seeds) == 1:
        print(f"\n{ONE_SEED}")
    if found.part == before.part:
        print(
            "\nThe groups were chosen on these faces, so part of a gain may be regression to the "
            "mean;\nretrain both with --part test and compare with --part test to be sure."
        )
    if output:
        with replacing(output) as temporary:
            table.to_csv(temporary, index=False)


def gains_and_losses(table: pd.DataFrame) -> list[str]:
    """Return who gained and who lost, as far as the intervals of `compare_groups` show it."""
    lines = []
    for name, title, sign in (("age_mae", "age", -1), ("gender_accuracy", "gender", 1)):
        low, high = sign * table[f"{name}_low"], sign * table[f"{name}_high"]
        is_gain = np.minimum(low, high) > 0
        is_loss = np.maximum(low, high) < 0
        said = {"better": is_gain, "worse": is_loss, "not shown to differ": ~(is_gain | is_loss)}
        parts = [
            f"{words}: {', '.join(table.loc[chosen, 'group']) or 'nobody'}"
            for words, chosen in said.items()
        ]
        lines.append(f"{title}, {'; '.join(parts)}")
    return lines


def _print_groups(table: pd.DataFrame) -> None:
    print(f"{'':22} {'faces':>6}  {'age MAE, years':^38}  {'gender accuracy, %':^38}")
    for row in table.to_dict("records"):
        cells = [
            f"{row[f'{name}_before'] * unit:6.2f} → {row[f'{name}_after'] * unit:5.2f} "
            f"{row[f'{name}_change'] * unit:+6.2f} "
            f"[{row[f'{name}_low'] * unit:+6.2f}, {row[f'{name}_high'] * unit:+6.2f}]"
            for name, unit in zip(_SHOWN, (1, 100), strict=True)
        ]
        ages, genders = (cell.replace("-", "−") for cell in cells)
        print(f"{row['group']:22} {row['num_faces']:6,}  {ages:38}  {genders:38}".rstrip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m utkface.evaluation.compare", description=main.__doc__
    )
    parser.add_argument("a", help="folder of `python tune/retrain_best.py`")
    parser.add_argument("b", help="another, or the same with --labels")
    parser.add_argument("--labels", nargs=2, help="which models (default: the headlines)")
    parser.add_argument(
        "--part", choices=("test", "validation"), help="default: test, with --groups validation"
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, help="default: grouped")
    parser.add_argument(
        "--groups", type=Path, nargs="?", const=weights_file(), metavar="FILE",
        help="what training with the group weights of a file did, to whom; a is before, b after "
        f"(default file: {weights_file()})",
    )  # fmt: skip
    parser.add_argument(
        "--sheets", type=Path, metavar="FOLDER",
        help="draw what both models look at on the faces that one alone gets right; the pictures "
        "hold photographs",
    )  # fmt: skip
    parser.add_argument("--data", nargs="+", help="with --sheets: the faces, as of run_search.py")
    parser.add_argument("--output", type=Path, help="with --groups: also write the table, as CSV")
    return parser


if __name__ == "__main__":
    run_command(main)
