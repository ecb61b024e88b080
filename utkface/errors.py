"""The one exception whose message is meant for the person at the keyboard."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path


class UserError(ValueError):
    """A mistake the user can mend: one line that says what, which value and what to do.

    Every command prints it without a traceback and exits with status 2 (`run_command`).
    """


def describe_error(error: BaseException) -> str:
    """Return one line on what went wrong; where in the code, unless it was the user's mistake."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message}{where}"


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
