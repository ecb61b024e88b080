"""``python -m utkface.evaluation.weak_groups FOLDER``: weak groups become oversampling weights.

The reference's iterative step: see where a model is weak, then draw those faces more often. Only a
look at *validation* may steer training, so predictions of the test part are refused.

`utkface.evaluation.weakness` says which groups those are, `utkface.evaluation.group_effect` what
the weights did to them and to the rest.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from utkface.config import TrainConfig
from utkface.evaluation.stored_predictions import StoredPredictions, parts_of, read_predictions
from utkface.evaluation.weakness import ERRORS, face_errors, find_weak_groups
from utkface.io import UserError, replacing, run_command
from utkface.sampling import format_weights

#: Where `search_spaces/weak_groups.py` looks for the file, in this order.
WEIGHTS_VARIABLE = "UTKFACE_GROUP_WEIGHTS"
WEIGHTS_FILE = Path("results/group_weights.json")


def weights_file() -> Path:
    """Return where the weights are written and read unless a path is given."""
    return Path(os.environ.get(WEIGHTS_VARIABLE) or WEIGHTS_FILE)


def describe_weak_groups(predictions: StoredPredictions) -> dict[str, Any]:
    """Return what the weights file holds: the text for `TrainConfig`, and what it is made from."""
    predicted = (predictions.faces, predictions.age_years, predictions.gender_probability)
    table = find_weak_groups(*predicted)
    text = format_weights(table.loc[table["weight"] > 1, "parsed"].tolist())
    if text:
        TrainConfig(oversample_by="weights", group_weights=text)  # what is written can be read
    errors = face_errors(*predicted).mean(axis=1)
    return {
        "made_from": predictions.folder.resolve().name,
        "label": predictions.label,
        "protocol": predictions.protocol,
        "part": predictions.part,
        "num_faces": len(predictions.faces),
        "num_seeds": len(predictions.age_years),
        "all_faces": dict(zip(ERRORS, errors.tolist(), strict=True)),
        "group_weights": text,
        "groups": json.loads(table.drop(columns="parsed").to_json(orient="records")),
    }


def read_validation(
    folder: Path, label: str | None = None, protocol: str | None = None
) -> StoredPredictions:
    """Read a folder's predictions of validation faces; raises `UserError` for those of the test."""
    parts = parts_of(folder)
    if "validation" not in parts:
        raise UserError(
            f"{folder} has predictions of the {' and '.join(parts)} part only, which must not "
            "steer training: its numbers would no longer be of faces that no choice has seen; "
            "retrain with `python tune/retrain_best.py --part validation` and use that folder"
        )
    return read_predictions(folder, "validation", label=label, protocol=protocol)


def main(arguments: list[str] | None = None) -> None:
    """Find the groups where a model is weak on validation, and write weights for them."""
    options = _parser().parse_args(arguments)
    output = options.output or weights_file()
    found = describe_weak_groups(read_validation(options.folder, options.label, options.protocol))
    with replacing(output) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _print(found)
    print(f"\nwritten to {output}; next: python tune/run_search.py --space weak_groups")


def _print(found: dict[str, Any]) -> None:
    average = found["all_faces"]
    print(
        f"{found['label']} of {found['made_from']}: {found['num_faces']:,} validation faces, "
        f"{found['num_seeds']} seeds, age MAE {average['age_mae']:.2f} years, "
        f"wrong genders {average['gender_error']:.1%}\n"
    )
    weak = [group for group in found["groups"] if group["weight"] > 1]
    if not weak:
        print("no group is weak beyond its noise: there is nothing to oversample")
        return
    print(f"{'weak group':22} {'faces':>6} {'MAE → shrunken':>16} {'wrong → shrunken':>18} weight")
    for group in weak:
        age = f"{group['age_mae']:.2f} → {group['age_mae_shrunken']:.2f}"
        gender = f"{group['gender_error']:.1%} → {group['gender_error_shrunken']:.1%}"
        print(
            f"{group['group']:22} {group['num_faces']:6,} {age + _mark(group, 'age_mae'):>16} "
            f"{gender + _mark(group, 'gender_error'):>18} {group['weight']:6.2f}"
        )
    print("* beyond its noise")


def _mark(group: dict[str, Any], error: str) -> str:
    return "*" if group[f"{error}_is_weak"] else " "


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m utkface.evaluation.weak_groups", description=main.__doc__
    )
    parser.add_argument(
        "folder", type=Path, help="made by `tune/retrain_best.py --part validation`"
    )
    parser.add_argument("--label", help="which model (default: the headline)")
    parser.add_argument("--protocol", help="which split (default: grouped, where there are both)")
    parser.add_argument(
        "--output", type=Path, help=f"default: {WEIGHTS_VARIABLE} or {WEIGHTS_FILE}"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
