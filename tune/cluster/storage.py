"""A place for checkpoints that every node of a cluster reaches, looked at before a search begins.

Nodes that share none would train a trial again from its beginning wherever it goes on, or mix up
the states of two searches (ray-project/ray#37177).
"""

import uuid
from dataclasses import dataclass, field

from pyarrow import fs

from utkface.io import UserError

#: Who leaves a file in a `Probe` first.
DRIVER = "driver"


def open_storage(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an absolute path, a pyarrow or an fsspec URI, and the folder there.

    The folder is made. Raises ValueError for what is no such URI, OSError where it is out of reach.
    """
    try:
        filesystem, folder = fs.FileSystem.from_uri(uri)
    except ValueError:
        if "://" not in uri:
            raise
        filesystem, folder = fs.FileSystem.from_uri(f"fsspec+{uri}")
    filesystem.create_dir(folder, recursive=True)
    return filesystem, folder


def join_uri(uri: str, name: str) -> str:
    """Return the address of a file or folder within another; what follows a ``?`` stays behind."""
    place, is_query, query = uri.partition("?") if "://" in uri else (uri, "", "")
    place = place if place.endswith("://") else f"{place.rstrip('/')}/"
    return f"{place}{name}{is_query}{query}"


def check_storage(uri: str) -> None:
    """Write, read and delete a small file; raises `UserError` where that is not possible."""
    try:
        probe = Probe(uri)
        probe.leave(DRIVER)
        if not probe.sees(DRIVER):
            raise OSError("what was written there cannot be read")
        probe.remove()
    except Exception as error:  # of whichever client the URI asks for
        raise UserError(
            f"cannot write checkpoints to {uri!r} ({error}); give --storage a folder or a URI that "
            "every node can write to"
        ) from error


@dataclass(frozen=True)
class Probe:
    """A folder under ``uri`` in which everyone leaves a file; travels to every node."""

    uri: str
    folder: str = field(default_factory=lambda: f".probe-{uuid.uuid4().hex}")

    def leave(self, name: str) -> None:
        """Write one's own file; raises OSError or ValueError where that is not possible."""
        filesystem, root = self._open()
        with filesystem.open_output_stream(f"{root}/{name}") as stream:
            stream.write(name.encode())

    def sees(self, name: str) -> bool:
        """Say whether another one's file can be read here."""
        filesystem, root = self._open()
        path = f"{root}/{name}"
        if filesystem.get_file_info(path).type == fs.FileType.NotFound:
            return False
        with filesystem.open_input_stream(path) as stream:
            return stream.read() == name.encode()

    def remove(self) -> None:
        """Delete the folder and all files in it."""
        filesystem, root = self._open()
        assert root.endswith(self.folder), root  # whatever a URI may look like
        filesystem.delete_dir(root)

    def _open(self) -> tuple[fs.FileSystem, str]:
        return open_storage(join_uri(self.uri, self.folder))
