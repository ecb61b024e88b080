"""Whether a cluster's nodes share a place for checkpoints: each writes there, and reads the rest.

Nodes that do not would train a trial again from its beginning wherever it goes on, or mix up the
states of two searches, so this is found out before a search begins (ray-project/ray#37177).
"""

import uuid
from dataclasses import dataclass, field

from pyarrow import fs

from tune.checkpoints import open_storage


@dataclass(frozen=True)
class Probe:
    """A folder under ``uri`` in which everyone leaves a file; travels to every node."""

    uri: str
    folder: str = field(default_factory=lambda: f".probe-{uuid.uuid4().hex}")

    def leave(self, name: str) -> None:
        """Write one's own file; raises OSError or ValueError where that is not possible."""
        filesystem, root = open_storage(f"{self.uri}/{self.folder}")
        with filesystem.open_output_stream(f"{root}/{name}") as stream:
            stream.write(name.encode())

    def sees(self, name: str) -> bool:
        """Say whether another one's file can be read here."""
        filesystem, root = open_storage(f"{self.uri}/{self.folder}")
        path = f"{root}/{name}"
        if filesystem.get_file_info(path).type == fs.FileType.NotFound:
            return False
        with filesystem.open_input_stream(path) as stream:
            return stream.read() == name.encode()

    def remove(self) -> None:
        """Delete the folder and all files in it."""
        filesystem, root = open_storage(f"{self.uri}/{self.folder}")
        filesystem.delete_dir(root)
