"""Where the faces are: what the user names becomes folders that hold image files.

A source is a folder, one or several archives, ``kaggle`` or ``demo``. Archives are unpacked once
into the cache, into a folder named after the hash of their content.
"""

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from utkface.data.archives import IMAGE_SUFFIXES, is_archive, is_image_name, unpack
from utkface.data.images import SUFFIXES
from utkface.io import UserError, folder_once, progress_bar

KAGGLE_DATASET = "jangedoo/utkface-new"
HOW_TO_GET_FACES = (
    "download UTKFace (aligned and cropped; for non-commercial research only) by hand from "
    "https://susanqq.github.io/UTKFace and give its folder or archives with --data"
)
SourceName = str | Path | Sequence[str | Path]


class Source(NamedTuple):
    """A source that has been found and, if need be, unpacked."""

    roots: list[Path]  # folders that hold image files, at any depth
    label: str  # what the user asked for, for display
    is_demo: bool


class ImageFile(NamedTuple):
    """An image file of a source."""

    path: Path
    inside: str  # its path within the source, to show


def find_source() -> list[str | Path]:
    """Return the source to use when the user names none: UTKFACE_DATA, else what is in ``data/``.

    UTKFACE_DATA may name several archives, separated as in PATH. Raises `UserError` when there is
    nothing.
    """
    names = [name for name in os.environ.get("UTKFACE_DATA", "").split(os.pathsep) if name]
    if names:
        return [*names]
    if Path("data/UTKFace").is_dir():
        return [Path("data/UTKFace")]
    if archives := _archives_in(Path("data")):
        return [*archives]
    raise UserError(
        "no faces: UTKFACE_DATA is not set and there is neither data/UTKFace nor an archive in "
        f"data/; {HOW_TO_GET_FACES}; --data demo shows the system without them"
    )


def cache_folder() -> Path:
    """Return the folder of all that can be made again: UTKFACE_CACHE or ~/.cache/utkface."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("UTKFACE_CACHE") or f"{base}/utkface").expanduser()


def open_source(source: SourceName) -> Source:
    """Find, fetch, unpack or draw the faces of a source.

    Raises `UserError` when it does not exist, is no archive that can be read safely, or a download
    fails. That there are faces in it is for the caller to see.
    """
    names = [source] if isinstance(source, str | Path) else list(source)
    if not names:
        raise UserError(f"no faces: an empty list of sources; {HOW_TO_GET_FACES}")
    if names == ["demo"]:
        return Source([_draw_demo()], "demo", is_demo=True)
    if names == ["kaggle"]:
        return Source([_download()], "kaggle", is_demo=False)
    roots = [root for name in names for root in _open_path(Path(name).expanduser())]
    return Source(roots, ", ".join(map(str, names)), is_demo=False)


def list_images(
    roots: Sequence[Path], suffixes: tuple[str, ...] = IMAGE_SUFFIXES
) -> list[ImageFile]:
    """Return all image files below the folders, sorted by name, then depth, then path.

    suffixes: in lower case; by default those of data sets. Hidden files and folders are left out
    (``._x.jpg`` is what macOS adds to archives), and so is all that is not a regular file: opening
    a pipe would wait for ever.
    """
    files = [file for root in roots for file in _walk(root, "", suffixes)]
    # Sorted, because the order of a folder's entries differs between file systems.
    return sorted(files, key=lambda file: (file.path.name, file.inside.count("/"), file.inside))


def find_images(inputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that the inputs name, input by input.

    A folder gives all in it and below it that can be decoded, sorted by name; a pattern (``*``,
    ``?``, ``[]``, and ``**`` for any depth) the files that match it, sorted. Any other name is
    taken for a file, there or not: that one of many is missing shows when it is read. Raises
    `UserError` for a folder or a pattern that gives nothing.
    """
    paths: list[Path] = []
    for given in inputs:
        name = os.fspath(given)
        found = _match(name)
        if not found:
            raise UserError(f"no images in {name}; give image files, folders of them, or patterns")
        paths += found
    return paths


def _match(name: str) -> list[Path]:
    """Return the files that one input names."""
    path = Path(name)
    try:
        if path.is_dir():
            return [file.path for file in list_images([path], SUFFIXES)]
        if not glob.has_magic(name) or path.exists():
            return [path]
    except OSError:  # a name that is too long, a folder without leave: reading it will tell
        return [path]
    matches = map(Path, glob.glob(name, recursive=True))  # noqa: PTH207 - Path.glob needs a root
    return sorted(path for path in matches if path.is_file())


def _walk(folder: Path, inside: str, suffixes: tuple[str, ...]) -> Iterator[ImageFile]:
    """Give the image files of a folder and its subfolders; no link to a folder is followed."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:  # stop rather than leave out the faces of a folder without leave
        raise UserError(f"cannot read folder {folder}: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith((".", "__MACOSX")):
                yield from _walk(Path(entry.path), f"{inside}{entry.name}/", suffixes)
        elif is_image_name(entry.name, suffixes) and Path(entry.path).is_file():
            yield ImageFile(Path(entry.path), inside + entry.name)


def _open_path(path: Path) -> list[Path]:
    """Return the folders of images that a folder or an archive amounts to."""
    if path.is_file():
        if not is_archive(path):
            raise UserError(f"{path} is no archive; allowed: a folder, .tar, .tar.gz, .tgz, .zip")
        return [_unpack_once(path)]
    if not path.is_dir():
        raise UserError(f"no such data: {path}; {HOW_TO_GET_FACES}")
    if next(_walk(path, "", IMAGE_SUFFIXES), None) is None and (archives := _archives_in(path)):
        return [_unpack_once(archive) for archive in archives]
    return [path]


def _archives_in(folder: Path) -> list[Path]:
    """Return the archives that lie in a folder itself, sorted."""
    return sorted(path for path in folder.glob("*") if path.is_file() and is_archive(path))


def _unpack_once(archive: Path) -> Path:
    """Unpack an archive into the cache, unless its content is there already."""
    try:
        with archive.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {archive}: {error.strerror or error}") from error
    target = cache_folder() / "unpacked" / digest[:24]
    with progress_bar(f"Unpacking {archive.name}"):
        return folder_once(target, lambda folder: unpack(archive, folder))


def _draw_demo() -> Path:
    """Draw the demo faces into the cache, unless this version of them is there already."""
    from utkface.data import demo

    version = hashlib.sha256(Path(demo.__file__).read_bytes()).hexdigest()[:12]
    return folder_once(cache_folder() / f"demo-{version}", demo.write_demo_faces)


def _download() -> Path:
    """Download UTKFace from Kaggle into kagglehub's own cache, unless it is there already."""
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except Exception as error:  # whatever goes wrong (network, account, disk), the way out is one
        reason = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
        raise UserError(
            f"cannot download {KAGGLE_DATASET} from Kaggle ({reason}); {HOW_TO_GET_FACES}"
        ) from error
