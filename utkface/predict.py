"""``python -m utkface.predict``: age and gender of faces in image files, as CSV or JSON lines.

As a library, in three lines::

    from utkface.predict import Predictor
    predictor = Predictor.load("model.pt")
    rows = predictor(["face.jpg", "folder", "more/*.png"])  # a list of FacePrediction

Images of Pillow and (H, W, 3) uint8 RGB arrays are taken as files are, one or many.
"""

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from utkface.io import UserError, progress_bar, replacing, run_command
from utkface.predictor import BATCH_SIZE, DEVICES, FacePrediction, Predictor, find_images

__all__ = ["FacePrediction", "Predictor"]

RESULTS = Path(__file__).parents[1] / "results"  # where tune/retrain_best.py writes
FORMATS = ("csv", "jsonl")
_COLUMNS = [column.name for column in dataclasses.fields(FacePrediction)]
_DECIMALS = {"age": 2, "age_low": 2, "age_high": 2, "gender_probability": 4}

_DESCRIPTION = """\
Predict age and gender of the faces in image files.

A picture must show one face, aligned and cropped as in UTKFace: there is no face detector here.
Of a picture that is not square the centre is taken."""

_EPILOGUE = """\
columns:
  file                as found, with its folders
  age                 years
  age_low, age_high   the true age lies between them for 90 % of faces like those of the validation
                      part, from whose residuals they come (split conformal, by predicted age); the
                      model file may state another share; empty where it holds no intervals
  gender              male or female, whichever is more probable
  gender_probability  of the gender named, so between 0.5 and 1
  error               why there is no prediction; empty where there is one

exit status: 0 all images were read; 1 some could not be, and their rows say why; 2 none could be,
or the command cannot be carried out."""


def main(arguments: list[str] | None = None) -> int:
    """Predict the images that the arguments name and return the exit status.

    1 for some unreadable images, so that a script notices, though the other rows are complete.
    """
    options = _parser().parse_args(arguments)
    files = find_images(options.images)
    predictor = Predictor.load(
        options.model or _newest_model(),
        device=options.device,
        flip=options.flip,
        batch_size=options.batch_size,
    )
    if predictor.warning:
        _say(f"the model: {predictor.warning}")
    if predictor.interval is None:
        _say("the model file holds no intervals: age_low and age_high stay empty")
    is_jsonl = options.output is not None and options.output.suffix == ".jsonl"
    start_s = time.perf_counter()
    with _output(options.output) as stream:
        form = options.format or ("jsonl" if is_jsonl else "csv")
        num_failed = _predict_all(predictor, files, stream, form)
    if len(files) > 1:
        time_s = time.perf_counter() - start_s
        _say(
            f"{len(files):,} images, {num_failed:,} without a prediction, in {time_s:.1f} s "
            f"({len(files) / time_s:,.0f} a second)"
        )
    if num_failed == len(files):
        return 2
    return int(num_failed > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m utkface.predict",
        description=_DESCRIPTION,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("images", nargs="+", help="image files, folders (and what is below them), quoted patterns")
    add("--model", type=Path, help="model file (default: the newest results/retrain-*/model.pt)")
    add("--output", type=Path, help="file, written whole or not at all (default: standard output)")
    add("--format", choices=FORMATS, help="default: jsonl for an --output so named, else csv")
    add("--device", choices=DEVICES, default="auto", help="default: a GPU where there is one")
    add(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="average over each face and its mirror image: slower (default: as the model was "
        "evaluated, which its intervals are of)",
    )
    add("--batch-size", type=int, default=BATCH_SIZE, help="default: %(default)s")
    return parser


def _newest_model() -> Path:
    """Return the model file that the last retraining wrote, and say which it is."""
    found = sorted(RESULTS.glob("retrain-*/model.pt"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise UserError(
            f"there is no model in {RESULTS}/retrain-*/model.pt; give one with --model, or make "
            "one with tune/retrain_best.py"
        )
    _say(f"model: {found[-1]}")
    return found[-1]


def _predict_all(predictor: Predictor, files: Sequence[Path], stream: TextIO, form: str) -> int:
    """Write a row for each file as its batch is done, and return how many could not be read."""
    num_failed = 0
    table = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    if form == "csv":
        table.writeheader()
    # Rows that scroll by are progress enough, and a bar on the same terminal would break them up.
    bar = progress_bar("Predicting", len(files))
    with contextlib.nullcontext(lambda _: None) if stream.isatty() else bar as advance:
        for rows in predictor.in_batches(files):
            for row in rows:
                if form == "csv":
                    table.writerow(_rounded(row))
                else:
                    stream.write(json.dumps(_rounded(row)) + "\n")
                if row.error is not None:
                    num_failed += 1
                    _say(f"{row.file}: {row.error}")
            stream.flush()
            advance(len(rows))
    return num_failed


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Open the output; file names that are no valid text pass through as the bytes they are."""
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        yield sys.stdout
        return
    if path.exists() and not path.is_file():  # /dev/null must not be replaced by a file
        raise UserError(f"cannot write {path}: it is no ordinary file; give another --output")
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        yield stream


def _rounded(row: FacePrediction) -> dict[str, Any]:
    """Return a row with no more decimals than mean something; None is an empty cell, or null."""
    values = dataclasses.asdict(row)
    for column, num_decimals in _DECIMALS.items():
        if values[column] is not None:
            values[column] = round(values[column], num_decimals)
    return values


def _say(line: str) -> None:
    """Print a line for the person, apart from the rows."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
