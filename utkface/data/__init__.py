"""Faces and their labels: where they come from, which are copies, and how they are split."""

from utkface.data.faces import Faces, load_faces
from utkface.data.sources import find_source
from utkface.data.splits import Split, make_split, take_fraction

__all__ = [
    "Faces",
    "Split",
    "find_source",
    "load_faces",
    "make_split",
    "take_fraction",
]
