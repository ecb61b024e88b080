"""`Predictor`: age and gender of faces in files, images and arrays, batch by batch.

There is no face detector here: a picture must show one face, aligned and cropped as UTKFace's are
(https://susanqq.github.io/UTKFace), or the answers mean little. Pictures are decoded, cut square
and resized by the code that makes training images.
"""

import contextlib
import copy
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from utkface.batches import map_on_cores, to_device
from utkface.data.images import ImageRejected, decode_face, square_pixels, upright_rgb
from utkface.data.labels import GENDERS
from utkface.data.sources import find_images
from utkface.intervals import apply_intervals
from utkface.io import UserError, map_ahead
from utkface.model import PixelModel, TrainedModel, load_model

DEVICES = ("auto", "cpu", "cuda")
BATCH_SIZE = 64
#: A photograph is smaller; what is larger is not read into memory to see that it is none.
_MAX_FILE_BYTES = 200_000_000

#: What can hold one face: an image file, Pillow's image, or an (H, W, 3) uint8 RGB array.
Picture = Path | Image.Image | NDArray[np.uint8]
#: What can be asked for: a picture, or a name of many, see `find_images`.
Input = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]
_Decoded = NDArray[np.uint8] | str  # the pixels of a picture, or why there are none


@dataclass(frozen=True)
class FacePrediction:
    """What a model says of one picture, or why it says nothing.

    Either ``error`` is None, or all but ``file`` and ``error`` are.
    """

    file: str  # as found, with its folders; of an image or array its place, as "image[3]"
    age: float | None = None  # years, 0 to 116
    age_low: float | None = None  # years; the ends of the interval for the true age, None
    age_high: float | None = None  # where the model file holds no intervals
    gender: str | None = None  # "male" or "female", whichever is more probable
    gender_probability: float | None = None  # of the gender named, so 0.5 to 1
    error: str | None = None  # why there is no prediction


class Predictor:
    """A trained model that reads pictures of faces.

    device: "auto" (a GPU where there is one), "cpu" or "cuda"; flip: average the answers for a face
    and its mirror image, at twice the time, by default as the model was evaluated (its intervals
    are of that); batch_size: faces in one pass of the network. Raises `UserError` for a device that
    is not there, or a model that cannot be read or whose intervals cannot.
    """

    def __init__(
        self,
        trained: TrainedModel,
        *,
        device: str = "auto",
        flip: bool | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size} is too small; allowed: 1 or more")
        self.device = find_device(device)
        self.image_size = trained.config.image_size
        self.batch_size = batch_size
        self.interval, self.warning = trained.interval, trained.warning
        self.flip = trained.flip if flip is None else flip
        model = copy.deepcopy(trained.model)  # the caller's stays where it is
        self._model = PixelModel(model, flip=self.flip).to(self.device)

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Self:
        """Read a model file without running code from it; options as of the class."""
        return cls(load_model(path), **options)

    def __call__(self, inputs: Input | Iterable[Input]) -> list[FacePrediction]:
        """Return a prediction for each picture that the inputs name or are, in their order.

        inputs: one or many of: image files, folders and patterns (see `find_images`), Pillow's
        images of any mode, (H, W, 3) uint8 RGB arrays. A list of dataclasses, of which
        ``pandas.DataFrame(...)`` makes a table. Raises `UserError` for an input of another kind.
        """
        return [row for rows in self.in_batches(find_pictures(inputs)) for row in rows]

    def in_batches(self, pictures: Sequence[Picture]) -> Iterator[list[FacePrediction]]:
        """Give the predictions for many pictures batch by batch, in their order.

        On a CPU each core decodes and predicts batches of its own, and PyTorch has one thread until
        the last of them is given. Beside a card the cores decode ahead of it.
        """
        num_workers, size = torch.get_num_threads(), self.batch_size  # PyTorch knows the cores
        if self.device.type == "cpu":
            size = min(size, max(1, math.ceil(len(pictures) / num_workers)))
        starts = range(0, len(pictures), size)

        def decoded(start: int) -> list[_Decoded]:
            return [_decode(one, self.image_size) for one in pictures[start : start + size]]

        if self.device.type == "cpu":
            yield from map_on_cores(
                lambda start: self._rows(pictures, decoded(start), start), starts, self.device
            )
            return
        # One batch more than there are threads: the next is ready when the network is.
        batches = map_ahead(decoded, starts, num_workers, num_ahead=num_workers)
        with contextlib.closing(batches):  # whoever stops reading stops the work
            for start, batch in zip(starts, batches, strict=True):
                yield self._rows(pictures, batch, start)

    def predict_pixels(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return ages (B,) in years and probabilities (B,) of being female, in one pass.

        pixels: (B, S, S, 3) uint8 RGB as `utkface.data.images.decode_face` gives them, S being the
        predictor's ``image_size``.
        """
        age_years, female_probability = self._model.predict(to_device(pixels, self.device))
        return age_years.cpu().numpy(), female_probability.cpu().numpy()

    def _rows(
        self, pictures: Sequence[Picture], decoded: Sequence[_Decoded], start: int
    ) -> list[FacePrediction]:
        """Predict the pictures from a place on, those that could not be decoded in their places."""
        pixels = [one for one in decoded if not isinstance(one, str)]
        answers: Iterator[tuple[Any, ...]] = iter(())
        if pixels:
            ages, females = self.predict_pixels(np.stack(pixels))
            lows = highs = np.full(len(ages), None)
            if self.interval is not None:
                lows, highs = apply_intervals(self.interval, ages)
            answers = zip(*(each.tolist() for each in (ages, lows, highs, females)), strict=True)
        rows = []
        for place, one in enumerate(decoded, start):
            picture = pictures[place]
            name = str(picture) if isinstance(picture, Path) else f"image[{place}]"
            if isinstance(one, str):
                rows.append(FacePrediction(name, error=one))
                continue
            age, low, high, female = next(answers)
            if not (math.isfinite(age) and math.isfinite(female)):
                rows.append(FacePrediction(name, error="the model's answer is not a number"))
                continue
            gender, probability = GENDERS[female > 0.5], max(female, 1 - female)
            rows.append(FacePrediction(name, age, low, high, gender, probability))
        return rows


def find_device(name: str) -> torch.device:
    """Return the device of a name in `DEVICES`; raises `UserError` where there is none."""
    if name not in DEVICES:
        raise UserError(f"device={name!r} is unknown; allowed: {', '.join(DEVICES)}")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise UserError("device='cuda': PyTorch sees no GPU here; use auto or cpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def find_pictures(inputs: Input | Iterable[Input]) -> list[Picture]:
    """Return the pictures that the inputs name or are, as of `Predictor.__call__`."""
    is_one = isinstance(inputs, str | os.PathLike | Image.Image)
    if isinstance(inputs, np.ndarray):
        is_one = inputs.ndim < 4
    if is_one or not isinstance(inputs, Iterable):
        return _pictures_of(inputs, "the input")
    found = (_pictures_of(given, f"input {place}") for place, given in enumerate(inputs))
    return [picture for pictures in found for picture in pictures]


def _pictures_of(given: object, which: str) -> list[Picture]:
    """Return what one input amounts to; an error calls it ``which``."""
    if isinstance(given, str | os.PathLike):
        return [*find_images([given])]
    if isinstance(given, Image.Image):
        return [given]
    what = f"a {type(given).__name__}"
    if isinstance(given, np.ndarray):
        if given.dtype == np.uint8 and given.ndim == 3 and given.shape[2] == 3 and given.size:
            return [given]
        what = f"an array of {given.dtype}, shape {given.shape}"
    raise UserError(
        f"{which} is {what}; allowed: a file, folder or pattern, an image of Pillow, or an array "
        "of uint8, shape (height, width, 3), RGB from 0 to 255"
    )


def _decode(picture: Picture, image_size: int) -> _Decoded:
    """Return a picture of any kind as pixels (S, S, 3), or why there are none."""
    try:
        if isinstance(picture, Path):
            return decode_face(_read_image_file(picture), image_size)
        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        return square_pixels(upright_rgb(image), image_size)
    except ImageRejected as rejection:
        return str(rejection)


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
