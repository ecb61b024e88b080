"""Arrays that take long to compute, kept in the cache folder under all that they depend on.

An .npz carries checksums of its parts: a file cut short or altered is noticed as it is read, and
computed again.
"""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from utkface.data.sources import cache_folder
from utkface.io import replacing

Arrays = dict[str, np.ndarray]

_KEY = "key"


def content_digest(*parts: str | np.ndarray) -> str:
    """Return a hex sha256 of texts and arrays; it tells apart their order, types and shapes."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            data = part.encode()
            digest.update(f"text {len(data)}\n".encode() + data)
        else:
            digest.update(f"array {part.dtype.str} {part.shape}\n".encode())
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def cached(name: str, key: str, compute: Callable[[], Arrays]) -> Arrays:
    """Return what ``compute`` gives, from an earlier call with the same name and key if possible.

    key: of `content_digest`, of everything that the arrays depend on. Raises `UserError` when the
    cache cannot be written.
    """
    path = cache_folder() / "evaluation" / f"{name}-{key[:24]}.npz"
    arrays = _read(path, key)
    if arrays is None:
        arrays = compute()
        parts: dict[str, Any] = {_KEY: np.array(key), **arrays}
        with replacing(path) as temporary:
            np.savez(temporary, **parts)
    return arrays


def _read(path: Path, key: str) -> Arrays | None:
    """Return what is kept; None where it is missing, damaged or of another key."""
    try:
        # A damaged archive shows itself by one of these, according to where the damage is.
        with np.load(path, allow_pickle=False) as saved:
            arrays = dict(saved)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return arrays if str(arrays.pop(_KEY, "")) == key else None
