"""Retrain a search's best: ``python tune/retrain_best.py`` (see ``--help``)."""

import dataclasses
import sys
from pathlib import Path

# Run as a script, Python looks for modules beside this file: there, `import ray` would still find
# Ray, but `import tune` needs the folder above.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tune.console import labelled
from tune.options import check_paths
from tune.options.retrain import RetrainOptions, build_parser
from utkface.io import run_command


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, then retrain, or go on with a retraining."""
    given = build_parser().parse_args(arguments)
    # Ray and torch take seconds to import: a wrong command line is told before.
    if "resume" in given:
        from tune.records.run_folder import RetrainFolder

        name = vars(given).pop("resume")
        folder = RetrainFolder.find(getattr(given, "results", RetrainOptions.results), name)
        print(labelled("resume", folder.path.name), flush=True)
        from tune.retrain.run import resume

        return resume(folder, given)
    options = RetrainOptions(**vars(given))
    check_paths(options.data, options.weights)
    from tune.retrain.finalists import find_search

    search = find_search(options)
    if search and "results" not in given:  # beside it
        options = dataclasses.replace(options, results=search.path.parent)
    what = search.path.name if search else " ".join(options.config or [])
    print(labelled("begin", f"training {what} again"), flush=True)
    from tune.retrain.run import start

    return start(options, search)


if __name__ == "__main__":
    run_command(main)
