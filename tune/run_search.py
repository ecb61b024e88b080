"""Search hyperparameters: ``python tune/run_search.py --space oversampling`` (see ``--help``)."""

import sys
from pathlib import Path

# Run as a script, Python looks for modules beside this file: there, `import ray` would still find
# Ray, but `import tune` needs the folder above.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tune.search.options import SearchOptions, build_parser
from tune.spaces.file import list_spaces
from utkface.config import describe_parameters
from utkface.io import UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, then search, resume, compare, or say what would be done."""
    given = vars(build_parser().parse_args(arguments))
    if given.pop("list_spaces", False):
        for name, question in list_spaces().items():
            print(f"{name:14} {question}")
        return 0
    if given.pop("list_parameters", False):
        print("\n".join(describe_parameters()))
        return 0
    if "compare" in given or "output" in given:
        return _compare(given)
    dry_run = given.pop("dry_run", False)
    # Ray and torch take seconds to import: a wrong command line is told before.
    if "resume" in given:
        return _resume(given.pop("resume"), given, given.pop("resume_anyway", False))
    if given.pop("resume_anyway", False):
        raise UserError("--resume-anyway goes with --resume; leave it out for a new search")
    if "space" not in given:
        raise UserError(f"--space is missing; one of: {', '.join(list_spaces())}, or a .py file")
    options = SearchOptions(**given)
    if dry_run:
        from tune.search.dry_run import explain

        return explain(options)
    from tune.search.run import start

    return start(options)


def _compare(given: dict) -> int:
    names, output = given.pop("compare", None), given.pop("output", None)
    results = given.pop("results", SearchOptions.results)
    if names is None or given:
        raise UserError("--compare RUN RUN goes with --output and --results, and with nothing else")
    from tune.report.compare import compare
    from tune.study.past_runs import read_run

    return compare([read_run(results, name) for name in names], results, output)


def _resume(name: str, given: dict, anyway: bool) -> int:
    from tune.records.run_folder import RunFolder
    from tune.search.run import resume

    folder = RunFolder.find(given.get("results", SearchOptions.results), name)
    return resume(folder, given, anyway=anyway)


if __name__ == "__main__":
    run_command(main)
