"""Ask programs whether they would take their arguments, without running them.

    python tests/docs/parse_only.py < commands.json > answers.json

Each command is a list: a script, or ``-m`` and a module, then arguments. Its answer has ``error``,
what argparse said or "", and ``options``, the names that the program knows. All in one process, as
the programs share imports that take seconds.
"""

import argparse
import contextlib
import io
import json
import os
import runpy
import sys
from collections.abc import Sequence
from typing import Any

_parse_args = argparse.ArgumentParser.parse_args


class Parsed(BaseException):
    """Raised in place of running a program whose arguments were parsed."""


def parse_and_stop(
    parser: argparse.ArgumentParser, args: Sequence[str] | None = None, namespace: Any = None
) -> None:
    """Do what `ArgumentParser.parse_args` does, then end the program."""
    parsed = Parsed(sorted(parser._option_string_actions))
    _parse_args(parser, args, namespace)
    raise parsed


def ask(command: Sequence[str]) -> dict[str, Any]:
    """Start one program up to where its arguments are parsed."""
    said = io.StringIO()
    is_module = command[0] == "-m"
    sys.argv = list(command[1:] if is_module else command)
    path, environ = list(sys.path), dict(os.environ)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            if is_module:
                runpy.run_module(command[1], run_name="__main__", alter_sys=True)
            else:
                sys.path.insert(0, os.path.dirname(command[0]))  # noqa: PTH120
                runpy.run_path(command[0], run_name="__main__")
    except Parsed as parsed:
        return {"error": "", "options": parsed.args[0]}
    except SystemExit:
        return {"error": said.getvalue() or "it ended without parsing anything", "options": []}
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environ)
    return {"error": "it parses no arguments", "options": []}


if __name__ == "__main__":
    argparse.ArgumentParser.parse_args = parse_and_stop  # type: ignore[method-assign, assignment]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    print(json.dumps([ask(command) for command in json.load(sys.stdin)]))
