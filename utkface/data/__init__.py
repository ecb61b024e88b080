"""Faces and their labels: where they come from, which are copies, and how they are split."""

from utkface.data.faces import Faces, load_faces
from utkface.data.sources import find_source

__all__ = ["Faces", "find_source", "load_faces"]
