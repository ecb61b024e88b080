"""Write the league table of a folder of runs: ``python -m tune.league`` (see ``--help``)."""

import argparse
from pathlib import Path

from tune.options import REPOSITORY
from tune.report.league import TITLE, write_league
from utkface.io import UserError, run_command


def main(arguments: list[str] | None = None) -> None:
    """Write the league table of a folder of runs, and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m tune.league", description=main.__doc__)
    parser.add_argument(
        "results", type=Path, nargs="?", default=REPOSITORY / "results",
        help="folder of the runs (default: this repository's results/)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="default: README.md in the folder of the runs")
    options = parser.parse_args(arguments)
    if not options.results.is_dir():
        raise UserError(f"there is no folder {options.results}; give the folder of your runs")
    path = options.output or options.results / "README.md"
    if path.is_file() and not path.read_bytes().startswith(TITLE.encode()):
        raise UserError(
            f'{path} is not a league table (it does not begin with "{TITLE}"), so it is not '
            "overwritten; name another file with --output"
        )
    print(write_league(options.results, path))


if __name__ == "__main__":
    run_command(main)
