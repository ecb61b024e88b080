"""``python -m utkface.evaluation.compare A B``: is one model better than another?

A paired bootstrap over groups of copies on the faces that both were judged on: what is hard about a
face for both of them cancels out, so it sees differences that two separate intervals hide.
"""

import argparse

from utkface.evaluation.report.verdicts import find_verdicts
from utkface.evaluation.row import paired_difference
from utkface.evaluation.stored_predictions import StoredPredictions, read_predictions
from utkface.io import UserError, run_command


def main(arguments: list[str] | None = None) -> None:
    """Compare two models that were judged on the same faces."""
    options = _parser().parse_args(arguments)
    labels = options.labels or (None, None)
    a, b = (
        read_predictions(folder, options.part, label=label, protocol=options.protocol)
        for folder, label in zip((options.a, options.b), labels, strict=True)
    )
    for line in compare_models(a, b):
        print(line)


def compare_models(a: StoredPredictions, b: StoredPredictions) -> list[str]:
    """Return lines that say by how much a is better or worse than b, and whether that is a fact.

    Raises `UserError` where the two were not judged on the same faces.
    """
    if not a.faces[["file", "age", "gender"]].equals(b.faces[["file", "age", "gender"]]):
        raise UserError(
            f"{a.folder} and {b.folder} hold predictions of different {a.part} faces ({a.protocol} "
            f"split: {len(a.faces)}, {b.protocol} split: {len(b.faces)}); compare runs on the same"
        )
    difference = paired_difference(
        a.faces, (a.age_years, a.gender_probability), (b.age_years, b.gender_probability)
    )
    lines = [f"{_name(model)} of {model.folder}: {len(model.age_years)} seeds" for model in (a, b)]
    lines.append(f"on {len(a.faces):,} {a.part} faces, {a.protocol} split, the first is")
    return lines + [f"  {said.title}: {said.text}" for said in find_verdicts(difference).values()]


def _name(model: StoredPredictions) -> str:
    return f"{model.label}, {model.protocol} split"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m utkface.evaluation.compare", description=main.__doc__
    )
    parser.add_argument("a", help="folder of `python tune/retrain_best.py`")
    parser.add_argument("b", help="another, or the same with --labels")
    parser.add_argument("--labels", nargs=2, help="which models (default: the headlines)")
    parser.add_argument("--part", choices=("test", "validation"), default="test")
    parser.add_argument("--protocol", choices=("grouped", "random"), help="default: grouped")
    return parser


if __name__ == "__main__":
    run_command(main)
