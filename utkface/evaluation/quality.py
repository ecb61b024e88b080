"""Image quality of all faces of a source: measured once, in parallel, and kept."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.data import Faces
from utkface.data.faces import num_cores
from utkface.data.images import ImageRejected, decode_face
from utkface.data.sources import SourceName, cache_folder, list_images, open_source
from utkface.evaluation.quality_cache import QualityCache, measures_version
from utkface.evaluation.quality_measures import QUALITY_COLUMNS, measure_image
from utkface.io import UserError, progress_bar

# UTKFace's own size, at which its files are measured as they are. Others are brought to it, as
# sharpness and noise mean nothing across sizes.
IMAGE_SIZE = 200
_FILES_PER_TASK = 16
_FILES_PER_SAVE = 2048  # a killed run loses some ten seconds of work


class _Photograph(NamedTuple):
    """An original image file, and the sha256 that its content must have."""

    path: Path
    sha256: str


def measure_quality(
    faces: Faces,
    source: SourceName,
    cache_dir: str | Path | None = None,
    num_workers: int | None = None,
) -> pd.DataFrame:
    """Measure the original photographs of all faces, or read what an earlier call measured.

    faces: as `load_faces` gave them for ``source``, at any image size; cache_dir: by default
    UTKFACE_CACHE or ~/.cache/utkface; num_workers: threads, by default one per core. Returns file
    and QUALITY_COLUMNS (float64; definitions and units in `quality_measures`), row i being row i of
    ``faces.table``, NaN where an image cannot be measured. Raises `UserError` when a photograph is
    no longer there or has changed, or the cache cannot be written.
    """
    cache_dir = Path(cache_dir).expanduser() if cache_dir else cache_folder()
    cache = QualityCache(cache_dir / "quality", faces.fingerprint, measures_version(IMAGE_SIZE))
    measured = cache.read()
    unknown = faces.table[~faces.table.sha256.isin(measured.index)].drop_duplicates("sha256")
    if len(unknown):
        photographs = _find_photographs(unknown, source, cache_dir)
        with progress_bar("Measuring image quality", len(faces.table)) as advance:
            advance(len(faces.table) - len(unknown))
            for part in _measured_parts(photographs, num_workers or num_cores()):
                measured = pd.concat([measured, part])
                cache.write(measured)
                advance(len(part))
    quality = measured.loc[faces.table.sha256].reset_index(drop=True)
    quality.insert(0, "file", faces.table.file.to_numpy())
    return quality


def _find_photographs(
    table: pd.DataFrame, source: SourceName, cache_dir: Path
) -> list[_Photograph]:
    """Return the original file of each row; the first of a name, as `load_faces` keeps it."""
    opened = open_source(source, cache_dir)
    paths: dict[str, Path] = {}
    for image in list_images(opened.roots):
        paths.setdefault(image.path.name, image.path)
    lost = [file for file in table.file if file not in paths]
    if lost:
        raise UserError(
            f"{len(lost)} of {len(table)} photographs are not in {opened.label}, the first: "
            f"{lost[0]}; give the folder or archives that the faces were read from"
        )
    return [
        _Photograph(paths[file], sha256)
        for file, sha256 in zip(table.file, table.sha256, strict=True)
    ]


def _measured_parts(photographs: Sequence[_Photograph], num_workers: int) -> Iterator[pd.DataFrame]:
    """Measure in threads (Pillow, NumPy and SciPy let go of the interpreter's lock), in parts."""
    pool = ThreadPoolExecutor(num_workers)
    try:
        for start in range(0, len(photographs), _FILES_PER_SAVE):
            part = photographs[start : start + _FILES_PER_SAVE]
            tasks = [part[i : i + _FILES_PER_TASK] for i in range(0, len(part), _FILES_PER_TASK)]
            values = [row for rows in pool.map(_measure_files, tasks) for row in rows]
            index = [photograph.sha256 for photograph in part]
            yield pd.DataFrame(values, index=index, columns=list(QUALITY_COLUMNS))
    finally:
        pool.shutdown(cancel_futures=True)


def _measure_files(photographs: Sequence[_Photograph]) -> list[NDArray[np.float64]]:
    return [_measure_file(photograph) for photograph in photographs]


def _measure_file(photograph: _Photograph) -> NDArray[np.float64]:
    """Return the measures of one file, all NaN where there is no usable image in it."""
    try:
        data = photograph.path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {photograph.path}: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != photograph.sha256:
        raise UserError(f"{photograph.path} changed since the faces were read; run again")
    try:
        return measure_image(decode_face(data, IMAGE_SIZE))
    except ImageRejected:
        return np.full(len(QUALITY_COLUMNS), np.nan)
