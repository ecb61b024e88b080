"""A checkpoint: one file with a dictionary of tensors and numbers, read without running code."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from utkface.atomic import replacing
from utkface.errors import UserError

#: Raised when a checkpoint's meaning changes; written into each and checked at reading.
FORMAT_VERSION = 1
_VERSION_KEY = "utkface_checkpoint"


def dump(state: dict[str, Any]) -> bytes:
    """Return a state as the bytes of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save({_VERSION_KEY: FORMAT_VERSION, **state}, buffer)
    return buffer.getvalue()


def parse(data: bytes, name: str = "checkpoint") -> dict[str, Any]:
    """Return the state in a checkpoint's bytes, its tensors on the CPU.

    Raises `UserError`, which calls the checkpoint ``name``, for bytes that are damaged, of another
    kind, or of another version.
    """
    try:
        with warnings.catch_warnings():  # of torch, about the pickle in a file that is none
            warnings.simplefilter("ignore")
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # flipped bytes surface as whatever the parser trips over
        raise UserError(
            f"{name} is damaged, or no checkpoint: its {len(data)} bytes cannot be read as one; "
            "copy it again, or use another"
        ) from error
    version = state.pop(_VERSION_KEY, None) if isinstance(state, dict) else None
    if version is None:
        raise UserError(f"{name} is no checkpoint of this project; give one that training wrote")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{name} has checkpoint version {version}, this program reads {FORMAT_VERSION}; "
            "use the program that wrote it, or train again"
        )
    return state


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write a state to ``path``, which holds the old checkpoint or the new one at any moment."""
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(dump(state))


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the state in a checkpoint file; raises `UserError` where there is none to be had."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the checkpoint {path} ({error.strerror}); give the path of another"
        ) from error
    return parse(data, str(path))
