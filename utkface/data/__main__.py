"""``python -m utkface.data``: read a set of faces and say what is in it.

With ``--report`` it also writes one HTML page about the faces as data: counts and their crossings,
how good the photographs are, copies and labels that disagree, what was refused, the splits, and
some of the faces; with ``--no-photographs`` the same without any, which may be published.
"""

import argparse
from pathlib import Path

import numpy as np

from utkface.data.faces import Faces, group_rejected, load_faces, summary, write_data_tables
from utkface.data.labels import DECADE_BINS, GENDERS, RACES, age_bin, bin_labels
from utkface.data.sources import find_source
from utkface.data.splits import PARTS, PROTOCOLS, Split, make_split
from utkface.io import UserError, run_command

REPORT, REPORT_TO_SHARE = Path("data/faces.html"), Path("results/faces.html")
_BAR_WIDTH = 40


def main(arguments: list[str] | None = None) -> None:
    """Load the faces that the arguments name and say what is in them."""
    options = _parser().parse_args(arguments)
    report = _report_path(options)
    source = options.source or find_source()
    faces = load_faces(source, options.image_size)
    print(summary(faces))
    print(f"fingerprint {faces.fingerprint}\npixels      {faces.path}")
    for kind, files in group_rejected(faces.rejected).items():
        print(f"refused {len(files):,}: {kind} (the first: {files[0][0]})")
    _print_labels(faces)
    split = _print_split(faces, options.split)
    if options.out:
        write_data_tables(faces, options.out)
        names = "rejected.csv, conflicts.csv"
        if split:
            split.save(options.out / "split.json", faces.table)
            names += ", split.json"
        print(f"written to {options.out}: {names}")
    if report:
        # Here, as measuring photographs and drawing need what nothing else about data does.
        from utkface.evaluation.faces_report.page import write_faces_report

        write_faces_report(faces, source, report, with_photographs=options.photographs)
        print(f"written to {report}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m utkface.data", description=main.__doc__)
    parser.add_argument(
        "source",
        nargs="*",
        help="a folder, archives, kaggle or demo (default: UTKFACE_DATA, else what is in data/)",
    )
    parser.add_argument("--image-size", type=int, default=64, help="pixels (default: %(default)s)")
    parser.add_argument("--split", choices=PROTOCOLS, default=PROTOCOLS[0])
    parser.add_argument(
        "--out", type=Path, help="folder for rejected.csv, conflicts.csv, split.json"
    )
    parser.add_argument(
        "--report",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="FILE",
        help="write one page about the faces as data: counts, quality of the photographs, copies, "
        f"refused files, splits, some faces (default: {REPORT}, which git ignores, as the page "
        f"holds photographs; with --no-photographs {REPORT_TO_SHARE})",
    )
    parser.add_argument(
        "--no-photographs",
        dest="photographs",
        action="store_false",
        help="leave every photograph out of the page: the one to publish",
    )
    return parser


def _report_path(options: argparse.Namespace) -> Path | None:
    """Return where the page goes, checked before the faces are read; None where none is wanted."""
    path: Path | None = options.report
    if path == Path():
        return REPORT if options.photographs else REPORT_TO_SHARE
    if path is not None and path.suffix != ".html":
        raise UserError(
            f"--report {path} is no page: its name must end in .html; give faces before --report"
        )
    if path is None and not options.photographs:
        raise UserError("--no-photographs says how a page is written: give --report too")
    return path


def _print_labels(faces: Faces) -> None:
    """Print how many faces there are of each gender, race and decade of age."""
    for column, names in (("gender", GENDERS), ("race", RACES)):
        counts = np.bincount(faces.table[column], minlength=len(names))
        pairs = zip(names, counts, strict=True)
        print(f"{column:7}", ", ".join(f"{name} {count:,}" for name, count in pairs))
    labels = bin_labels(DECADE_BINS)
    counts = np.bincount(age_bin(faces.table["age"], DECADE_BINS), minlength=len(labels))
    for label, count in zip(labels, counts, strict=True):
        bar = "█" * round(_BAR_WIDTH * count / counts.max())
        print(f"age {label:6} {count:6,} {bar}")


def _print_split(faces: Faces, protocol: str) -> Split | None:
    """Print how many faces are in each part; None where there are too few for parts."""
    try:
        split = make_split(faces.table, protocol)
    except UserError as error:
        print(f"\nno split: {error}")
        return None
    sizes = ", ".join(f"{part} {len(getattr(split, part)):,}" for part in PARTS)
    print(f"\nsplit {split.protocol}: {sizes}")
    return split


if __name__ == "__main__":
    run_command(main)
