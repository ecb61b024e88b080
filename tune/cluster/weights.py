"""Backbone weights that a trial finds wherever it runs."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from utkface.data.sources import cache_folder
from utkface.io import replacing


@dataclass(frozen=True)
class Weights:
    """What `build_model` takes for weights; a file's content travels along with its path."""

    name: str  # "imagenet", "none" or the path of a file on the driver's machine
    content: bytes | None = field(repr=False)

    @classmethod
    def read(cls, name: str) -> Self:
        """Return weights by their name or path, the latter made absolute."""
        if name in ("imagenet", "none"):
            return cls(name, None)
        path = Path(name).resolve()
        return cls(str(path), path.read_bytes())

    def here(self) -> str:
        """Return the name or a path on this machine, where the content is written if need be."""
        if self.content is None:
            return self.name
        path = Path(self.name)
        if path.is_file() and path.read_bytes() == self.content:
            return self.name
        path = cache_folder() / "weights" / f"{hashlib.sha256(self.content).hexdigest()[:16]}.pth"
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.write_bytes(self.content)
        return str(path)
