"""Search hyperparameters: ``python tune/run_search.py --space oversampling`` (see ``--help``)."""

import sys
from argparse import Namespace
from pathlib import Path

# Run as a script, Python looks for modules beside this file: there, `import ray` would still find
# Ray, but `import tune` needs the folder above.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tune.console import labelled
from tune.options import check_paths
from tune.options.search import SearchOptions, build_parser
from tune.spaces.file import find_space, list_spaces
from utkface.config import describe_parameters
from utkface.io import UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, then search, resume, compare, or say what would be done."""
    given = build_parser().parse_args(arguments)
    take = vars(given).pop  # what is left are the search's own options
    if take("list_spaces", False):
        for name, question in list_spaces().items():
            print(f"{name:14} {question}")
        return 0
    if take("list_parameters", False):
        print("\n".join(describe_parameters()))
        return 0
    if "compare" in given or "output" in given:
        return _compare(given)
    dry_run, anyway = take("dry_run", False), take("resume_anyway", False)
    # Ray and torch take seconds to import: a wrong command line is told before.
    if "resume" in given:
        if dry_run:
            raise UserError("--dry-run is of a new search, not of --resume; leave one out")
        return _resume(given, anyway=anyway)
    if anyway:
        raise UserError("--resume-anyway goes with --resume; leave it out for a new search")
    if "space" not in given:
        raise UserError(f"--space is missing; one of: {', '.join(list_spaces())}, or a .py file")
    options = SearchOptions(**vars(given))
    find_space(options.space)
    check_paths(options.data, options.weights)
    budget = f"{options.num_trials} trials of up to {options.max_epochs} epochs"
    print(labelled("begin", f"{options.space}, {budget} at {options.image_size} px"), flush=True)
    if options.data is None:  # what nobody named may not be there either
        from utkface.data import find_source

        check_paths(map(str, find_source()), None)
    if dry_run:
        from tune.search.dry_run import explain

        return explain(options)
    from tune.search.run import start

    return start(options)


def _compare(given: Namespace) -> int:
    take = vars(given).pop
    names, output = take("compare", None), take("output", None)
    results = take("results", SearchOptions.results)
    if names is None or vars(given):
        raise UserError("--compare RUN RUN goes with --output and --results, and with nothing else")
    from tune.report.compare import compare
    from tune.study.past_runs import read_run

    return compare([read_run(results, name) for name in names], results, output)


def _resume(given: Namespace, *, anyway: bool) -> int:
    from tune.records.run_folder import SearchFolder

    name = vars(given).pop("resume")
    folder = SearchFolder.find(getattr(given, "results", SearchOptions.results), name)
    folder.refuse_without_journal(has_results=(folder.path / "trials.csv").is_file())
    print(labelled("resume", folder.path.name), flush=True)
    from tune.search.run import resume

    return resume(folder, given, anyway=anyway)


if __name__ == "__main__":
    run_command(main)
