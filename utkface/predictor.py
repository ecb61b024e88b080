"""`Predictor`: age and gender of the faces in image files, batch by batch.

There is no face detector here: a picture must show one face, aligned and cropped as UTKFace's are
(https://susanqq.github.io/UTKFace), or the answers mean little. Pictures are decoded, cut square
and resized by the code that makes training images, while the network works on the batch before.
"""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from utkface.batches import to_device
from utkface.data.images import ImageRejected, decode_face
from utkface.data.labels import GENDERS
from utkface.data.sources import find_images
from utkface.intervals import apply_intervals
from utkface.io import UserError, map_ahead
from utkface.model import PixelModel, TrainedModel, load_model

DEVICES = ("auto", "cpu", "cuda")
BATCH_SIZE = 64
#: A photograph is smaller; what is larger is not read into memory to see that it is none.
_MAX_FILE_BYTES = 200_000_000


@dataclass(frozen=True)
class FacePrediction:
    """What a model says of one image file, or why it says nothing.

    Either ``error`` is None, or all but ``file`` and ``error`` are.
    """

    file: str  # as found, with its folders
    age: float | None = None  # years, 0 to 116
    age_low: float | None = None  # years; the ends of the interval for the true age, None
    age_high: float | None = None  # where the model file holds no intervals
    gender: str | None = None  # "male" or "female", whichever is more probable
    gender_probability: float | None = None  # of the gender named, so 0.5 to 1
    error: str | None = None  # why there is no prediction


class Predictor:
    """A trained model that reads image files.

    device: "auto" (a GPU where there is one), "cpu" or "cuda"; flip: average the answers for a face
    and its mirror image, at twice the time (the intervals are still those of a single look);
    batch_size: faces in one pass of the network. Raises `UserError` for a device that is not there,
    or a model that cannot be read or whose intervals cannot.
    """

    def __init__(
        self,
        trained: TrainedModel,
        *,
        device: str = "auto",
        flip: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size} is too small; allowed: 1 or more")
        self.device = find_device(device)
        self.image_size = trained.config.image_size
        self.batch_size = batch_size
        self.interval = trained.interval
        self._model = PixelModel(trained.model, flip=flip).to(self.device)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        flip: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> Self:
        """Read a model file without running code from it; options as of the class."""
        return cls(load_model(path), device=device, flip=flip, batch_size=batch_size)

    def __call__(
        self, inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
    ) -> list[FacePrediction]:
        """Return a prediction for each image that the inputs name, in their order.

        inputs: image files, folders, patterns, or one of them; see `find_images`. A list of
        dataclasses, of which ``pandas.DataFrame(...)`` makes a table.
        """
        one = isinstance(inputs, str | os.PathLike)
        files = find_images([inputs] if one else inputs)  # type: ignore[list-item, arg-type]
        return [row for rows in self.in_batches(files) for row in rows]

    def in_batches(self, files: Sequence[Path]) -> Iterator[list[FacePrediction]]:
        """Give the predictions for many files batch by batch, in their order."""
        num_workers = torch.get_num_threads()  # what PyTorch takes this machine to have
        parts = (files[i : i + self.batch_size] for i in range(0, len(files), self.batch_size))
        # Whole batches in threads (Pillow lets go of the interpreter's lock), one more than there
        # are threads: the next is ready when the network is.
        batches = map_ahead(
            lambda part: _decode(part, self.image_size), parts, num_workers, num_ahead=num_workers
        )
        with contextlib.closing(batches):  # whoever stops reading stops the decoding
            for batch in batches:
                yield self._rows(batch)

    def predict_pixels(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return ages (B,) in years and probabilities (B,) of being female, in one pass.

        pixels: (B, S, S, 3) uint8 RGB as `utkface.data.images.decode_face` gives them, S being the
        predictor's ``image_size``.
        """
        age_years, female_probability = self._model.predict(to_device(pixels, self.device))
        return age_years.cpu().numpy(), female_probability.cpu().numpy()

    def _rows(self, batch: "_Batch") -> list[FacePrediction]:
        """Predict one batch, and put the files that could not be decoded in their places."""
        answers = iter(self._answers(batch.pixels) if len(batch.pixels) else ())
        rows = []
        for path, reason in zip(batch.files, batch.reasons, strict=True):
            if reason is not None:
                rows.append(FacePrediction(str(path), error=reason))
                continue
            age, low, high, female = next(answers)
            if not (math.isfinite(age) and math.isfinite(female)):
                rows.append(FacePrediction(str(path), error="the model's answer is not a number"))
                continue
            gender = GENDERS[female > 0.5]
            probability = max(female, 1 - female)
            rows.append(FacePrediction(str(path), age, low, high, gender, probability))
        return rows

    def _answers(
        self, pixels: NDArray[np.uint8]
    ) -> Iterator[tuple[float, float | None, float | None, float]]:
        """Give age, its interval and the probability of being female of each face."""
        age_years, female_probability = self.predict_pixels(pixels)
        low: list[float] | list[None]
        high: list[float] | list[None]
        if self.interval is None:
            low = high = [None] * len(pixels)
        else:
            low, high = (ends.tolist() for ends in apply_intervals(self.interval, age_years))
        return zip(age_years.tolist(), low, high, female_probability.tolist(), strict=True)


def find_device(name: str) -> torch.device:
    """Return the device of a name in `DEVICES`; raises `UserError` where there is none."""
    if name not in DEVICES:
        raise UserError(f"device={name!r} is unknown; allowed: {', '.join(DEVICES)}")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise UserError("device='cuda': PyTorch sees no GPU here; use auto or cpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


class _Batch(NamedTuple):
    """Some files, decoded."""

    files: Sequence[Path]
    reasons: list[str | None]  # None for each file that could be decoded
    pixels: NDArray[np.uint8]  # (B, S, S, 3), of those files only


def _decode(files: Sequence[Path], image_size: int) -> _Batch:
    """Read and decode files, noting why some cannot be."""
    reasons: list[str | None] = []
    pixels = []
    for path in files:
        try:
            pixels.append(decode_face(_read_image_file(path), image_size))
            reasons.append(None)
        except ImageRejected as rejection:
            reasons.append(str(rejection))
    empty = np.empty((0, image_size, image_size, 3), np.uint8)
    return _Batch(files, reasons, np.stack(pixels) if pixels else empty)


def _read_image_file(path: Path) -> bytes:
    """Return a file's content; raises `ImageRejected` with the reason where it cannot be had."""
    try:
        if not path.exists():
            raise ImageRejected("no such file")
        if not path.is_file():  # a pipe would be waited for, a device read for ever
            raise ImageRejected("not a file")
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ImageRejected(f"too large: more than {_MAX_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise ImageRejected(f"cannot be read: {reason}") from error
