"""Labelled uint8 images, handed out as batches on the device that needs them.

Progressive resizing: the first epochs may train on smaller images, and so cost less. What the
network learns early it learns from coarse shapes, which a quarter of the pixels show as well. Tan
and Le, EfficientNetV2, 2021, section 4.2, https://arxiv.org/abs/2104.00298
"""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from utkface.config import TrainConfig
from utkface.io import UserError, map_ahead

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Share of the epochs over which the images grow; the rest has their full size.
GROWING_SHARE = 2 / 3
#: The backbone halves its input five times: other sizes would leave part of a cell at the edge.
STRIDE = 32


@dataclass(frozen=True)
class Teacher:
    """What other models say of the N faces, to learn from beside the labels; NaN: nothing."""

    age_distribution: NDArray[np.float32]  # (N, NUM_AGES), rows summing to 1
    gender_probability: NDArray[np.float32]  # (N,) of being female


@dataclass(frozen=True)
class TrainingData:
    """Labelled faces, and which of them to train and to validate on."""

    images: np.ndarray  # (N, S, S, 3) uint8 RGB; may be a read-only memory map
    age: NDArray[np.integer]  # (N,) years, 0 to 116
    gender: NDArray[np.integer]  # (N,) 0 male, 1 female
    race: NDArray[np.integer]  # (N,) 0 to 4
    train: NDArray[np.integer]  # row numbers
    val: NDArray[np.integer]  # row numbers; none where a model is trained on all there is
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing can be learned from."""
        if len(self.train) < 2:
            raise UserError(
                f"{len(self.train)} faces to train on are too few; at least 2 are needed, so give "
                "more data or a larger fraction"
            )
        if self.teacher is not None:
            silent = np.isnan(self.teacher.gender_probability[self.train]).sum()
            if silent:
                raise UserError(
                    f"the teacher says nothing of {silent} of {len(self.train)} training faces; "
                    "give one that was trained for these faces and this split"
                )


class ImageStore:
    """The images of a data set, gathered batch by batch onto a device.

    On a GPU with room for all of them they are copied there once, as uint8, and no image crosses
    the bus again. Otherwise every batch is gathered from main memory: on a CPU that takes some
    hundredths of the time of a training step.
    """

    #: Share of the free GPU memory that images may take: training needs the rest.
    MAX_GPU_SHARE = 0.4

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        self.device = device
        self.images = np.asarray(images)  # a plain view: np.memmap is slower to index
        self.resident: Tensor | None = None
        if device.type == "cuda":
            free_bytes, _ = torch.cuda.mem_get_info(device)
            if images.nbytes <= free_bytes * self.MAX_GPU_SHARE:
                self.resident = torch.empty(images.shape, dtype=torch.uint8, device=device)
                for start in range(0, len(images), 2048):  # main memory never has a second copy
                    part = np.array(self.images[start : start + 2048])  # writable, for torch
                    self.resident[start : start + 2048] = torch.from_numpy(part).to(device)

    def gather(self, rows: NDArray[np.integer], on_device: Tensor | None = None) -> Tensor:
        """Return the images of ``rows``, (B, 3, S, S) uint8 in channels_last order.

        on_device: the same rows where they are on the device already.
        """
        if self.resident is not None:
            batch = self.resident[to_device(rows, self.device) if on_device is None else on_device]
        else:
            batch = to_device(np.take(self.images, rows, axis=0), self.device)
        return batch.permute(0, 3, 1, 2)  # NHWC seen as NCHW is channels_last, without a copy


def to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Return an array as a tensor on the device, without waiting for a GPU."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def batch_slices(num_draws: int, batch_size: int) -> list[slice]:
    """Return the batches of an epoch as slices of its draws, within one face of equal size.

    No face is dropped and no batch is a small remainder: the faces are spread evenly over as few
    batches as hold them. None has a single face, from which BatchNorm cannot tell a variance, even
    if one of three then exceeds a ``batch_size`` of two.
    """
    count = max(1, min(-(-num_draws // batch_size), num_draws // 2))
    edges = [num_draws * i // count for i in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def training_size(config: TrainConfig, epoch: int) -> int:
    """Return the side in pixels of the images that epoch ``epoch`` (0 is the first) trains on."""
    first, last = config.initial_image_size, config.image_size
    num_growing = int(GROWING_SHARE * config.epochs)
    if first == 0 or epoch >= num_growing:
        return last
    side = first + (last - first) * epoch / num_growing
    return min(last, max(first, STRIDE * round(side / STRIDE)))


def shrink(images: Tensor, side: int) -> Tensor:
    """Return images (B, 3, S, S) uint8 at another side, themselves where it is their own."""
    if images.shape[-1] == side:
        return images
    return functional.resize(images, [side, side], antialias=True)


class _OneThread:
    """A context in which PyTorch has one thread; gives how many it had, also where several are in.

    The last to leave puts back what the first one found.
    """

    def __init__(self) -> None:
        self.lock, self.num_users, self.num_threads = threading.Lock(), 0, 1

    def __enter__(self) -> int:
        with self.lock:
            if self.num_users == 0:
                self.num_threads = torch.get_num_threads()
                torch.set_num_threads(1)
            self.num_users += 1
            return self.num_threads

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.num_users -= 1
            if self.num_users == 0:
                torch.set_num_threads(self.num_threads)


_one_thread = _OneThread()


def map_on_cores(
    function: Callable[[Task], Result], tasks: Iterable[Task], device: torch.device
) -> Iterator[Result]:
    """Apply what asks a network to tasks, on a CPU one in each thread, and give results in order.

    By itself PyTorch cuts every operation up among its threads, which wait for the slowest of them
    each time: on cores that others used too, features of 3,072 faces took 86 s so and 4 s here, to
    the same last digit.
    """
    with _one_thread as num_threads:
        num_workers = num_threads if device.type == "cpu" else 1
        yield from map_ahead(function, tasks, num_workers, num_ahead=num_workers)
