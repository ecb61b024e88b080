"""The one exception whose message is meant for the person at the keyboard."""

import sys
from collections.abc import Callable


class UserError(ValueError):
    """A mistake the user can mend: one line that says what, which value and what to do.

    Every command prints it without a traceback and exits with status 2 (`run_command`).
    """


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's ``main`` and exit: its status, 2 for a `UserError`, 130 for Ctrl-C."""
    try:
        status = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
