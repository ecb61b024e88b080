"""Whether W&B is used online, offline or not at all, and how to send later what stayed here."""

import os
import shlex
from pathlib import Path

from utkface.io import UserError

MODES = ("online", "offline", "disabled")


def resolve_mode(requested: str | None) -> tuple[str, str | None]:
    """Return how trials are to be logged, and a line that says so where it was not asked for.

    ``requested`` is online, offline, disabled or None: then the environment variable WANDB_MODE,
    else online if W&B knows a key of the user's, else offline. Raises `UserError` for another
    value, and for online without a usable key.
    """
    wanted = requested or os.environ.get("WANDB_MODE") or None
    if wanted not in (*MODES, None):
        raise UserError(f"WANDB_MODE={wanted!r} is unknown; allowed: {', '.join(MODES)}")
    if wanted in ("offline", "disabled"):
        return wanted, None
    problem = _key_problem()
    if problem is None:
        return "online", None
    if wanted == "online":
        raise UserError(f"W&B cannot be used online: {problem}; run wandb login, or use offline")
    later = "send them later: wandb login, then wandb sync <run folder>/wandb"
    return "offline", f"{problem}, so trials are recorded offline; {later}"


def sync_command(folder: Path, *, include_online: bool = False) -> str:
    """Return the command that sends what W&B keeps in a run folder and does not have yet.

    Runs of one trial, of a search that was resumed, are sent in the order of their beginning and
    become one; what was sent already is left out. ``include_online`` takes in runs that were begun
    online and could not be sent to their end.
    """
    option = "--include-online " if include_online else ""
    return f"wandb sync {option}{shlex.quote(str(folder / 'wandb'))}"


def one_line(error: Exception) -> str:
    """Return an error's first line, without the user's key should it be quoted there."""
    text = str(error) or type(error).__name__
    if key := os.environ.get("WANDB_API_KEY"):
        text = text.replace(key, "***")
    return text.splitlines()[0].strip().rstrip(".")[:200]


def _key_problem() -> str | None:
    """Return what is wrong with the user's W&B key, or None; asks neither network nor user."""
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True, mode="online"))
        # Looks at WANDB_API_KEY, netrc and W&B's own settings, in wandb's order.
        return None if wandb.login(prompt=False, verify=False) else "no API key was found"
    except Exception as error:  # a malformed key, or a defective settings file
        return one_line(error)
