"""Batches hold every draw once, and images grow while training."""

import numpy as np
import pytest
import torch

from utkface.batches import (
    ImageStore,
    Teacher,
    TrainingData,
    batch_slices,
    map_on_cores,
    shrink,
    training_size,
)
from utkface.config import TrainConfig
from utkface.io import UserError


def sizes(**fields):
    config = TrainConfig(**fields)
    return [training_size(config, epoch) for epoch in range(config.epochs)]


def test_without_growth_every_epoch_has_the_full_size():
    assert sizes(epochs=3, image_size=128) == [128, 128, 128]


def test_images_grow_over_two_thirds_of_the_epochs_in_steps_of_the_stride():
    assert sizes(epochs=9, image_size=128, initial_image_size=64) == [
        64, 64, 96, 96, 96, 128, 128, 128, 128
    ]  # fmt: skip


@pytest.mark.parametrize("epochs", range(1, 30))
@pytest.mark.parametrize(("first", "last"), [(32, 200), (64, 128), (100, 120), (128, 128)])
def test_sizes_never_shrink_begin_as_asked_and_end_at_full_size(epochs, first, last):
    found = sizes(epochs=epochs, image_size=last, initial_image_size=first)
    assert found == sorted(found)
    assert found[0] == (first if epochs > 1 else last)
    assert found[-1] == last
    assert all(first <= size <= last for size in found)


@pytest.mark.parametrize("first", [1, 31, 65, -1])
def test_a_size_that_cannot_grow_to_the_full_one_is_refused(first):
    with pytest.raises(UserError, match="initial_image_size"):
        TrainConfig(image_size=64, initial_image_size=first)


def test_shrinking_averages_pixels_and_keeps_their_layout():
    images = torch.zeros((2, 8, 8, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    images[1, :, :, 4:] = 200
    small = shrink(images, 4)
    assert small.shape == (2, 3, 4, 4)
    assert small.dtype == torch.uint8
    assert small.is_contiguous(memory_format=torch.channels_last)
    assert small[0].max() == 0
    assert small[1, :, :, 0].max() == 0
    assert small[1, :, :, 3].min() == 200


def test_images_of_the_right_size_are_not_copied():
    images = torch.zeros((1, 3, 8, 8), dtype=torch.uint8)
    assert shrink(images, 8) is images


def test_a_store_hands_out_the_right_faces_from_a_memory_map(tmp_path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "faces.npy", images)
    store = ImageStore(np.load(tmp_path / "faces.npy", mmap_mode="r"), torch.device("cpu"))
    batch = store.gather(np.array([7, 2]))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(batch.permute(0, 2, 3, 1).numpy(), images[[7, 2]])


@pytest.mark.parametrize("batch_size", [2, 3, 7, 64])
@pytest.mark.parametrize("num_draws", [2, 3, 5, 64, 65, 129])
def test_batches_hold_every_draw_once_evenly_and_never_one_alone(
    num_draws: int, batch_size: int
) -> None:
    slices = batch_slices(num_draws, batch_size)
    sizes = [part.stop - part.start for part in slices]
    assert [i for part in slices for i in range(num_draws)[part]] == list(range(num_draws))
    assert len(slices) == max(1, min(-(-num_draws // batch_size), num_draws // 2))
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch_size, 3)


def test_too_few_faces_are_refused() -> None:
    images, labels = np.zeros((3, 8, 8, 3), np.uint8), np.zeros(3, np.int64)
    with pytest.raises(UserError, match="1 faces to train on are too few"):
        TrainingData(images, labels, labels, labels, np.arange(1), np.arange(1, 3))


def test_a_teacher_that_is_silent_about_a_training_face_is_refused() -> None:
    images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int64)
    rows = np.arange(3), np.arange(3, 4)
    female = np.array([0.5, np.nan, 0.5, np.nan], np.float32)  # of no validation face it must speak
    teacher = Teacher(np.full((4, 117), 1 / 117, np.float32), female)
    with pytest.raises(UserError, match="says nothing of 1 of 3 training faces"):
        TrainingData(images, labels, labels, labels, *rows, teacher)


def test_tasks_run_on_single_threads_in_order_and_the_threads_come_back(two_threads) -> None:
    num_threads = torch.get_num_threads()
    cpu = torch.device("cpu")
    squares = map_on_cores(lambda n: (n * n, torch.get_num_threads()), range(50), cpu)
    assert list(squares) == [(n * n, 1) for n in range(50)]
    assert torch.get_num_threads() == num_threads

    def fail(n: int) -> int:
        raise RuntimeError(n)

    with pytest.raises(RuntimeError):
        list(map_on_cores(fail, range(3), cpu))
    assert torch.get_num_threads() == num_threads
