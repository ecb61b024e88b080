"""The trainable as Ray uses it (setup, step, reset_config), mostly without a cluster around it."""

import dataclasses

import numpy as np
import pytest
import ray
import torch

from tune.cluster import Resources, Weights
from tune.execution.checkpoints import CheckpointStore
from tune.execution.reporting import DIVERGED, FAILURE, METRICS, UNSAVED
from tune.execution.trainable import FaceTrainable, TrialJob
from tune.study.sources import SEARCH_ROWS
from utkface.batches import Teacher
from utkface.config import TrainConfig
from utkface.model import NUM_AGES

CONFIG = TrainConfig(
    epochs=2, image_size=32, batch_size=16, ema_decay=0.9, pretrained=False, oversample_by="age"
)
TIMINGS = {"time_s", "cpu_time_s", "images_per_s"}


@pytest.fixture
def job(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "faces.npy", images)
    rows = rng.permutation(64)
    return TrialJob(
        images_path=tmp_path / "faces.npy",
        images_shape=images.shape,
        labels={
            name: rng.integers(0, count, 64)
            for name, count in (("age", 90), ("gender", 2), ("race", 5))
        },
        rows={SEARCH_ROWS: (np.sort(rows[:48]), np.sort(rows[48:]))},
        weights=Weights("none", None),
        checkpoints=CheckpointStore(str(tmp_path / "checkpoints")),
        resources=Resources(cpus_per_trial=1, gpus_per_trial=0, concurrency=1),
    )


@pytest.fixture
def worker(job):
    """Begin a worker with its first trial; each call is a new worker."""

    class Worker(FaceTrainable):
        def setup(self, config):
            super().setup(config, job)

    return lambda number, config=CONFIG: Worker(trial(number, config))


def trial(number, config=CONFIG, **changes):
    return {"number": number, "train": {**config.to_dict(), **changes}, "rows": SEARCH_ROWS}


def numbers(result):
    return {key: value for key, value in result[METRICS].items() if key not in TIMINGS}


def test_nothing_leaks_from_one_trial_to_the_next(worker):
    """The same configuration first and last in one worker gives equal results."""
    one = worker(0)
    first = [numbers(one.step()) for _ in range(2)]
    one.reset_config(trial(1, max_lr=0.02, batch_size=8, age_loss="l1", seed=9, dropout=0.5))
    between = [numbers(one.step()) for _ in range(2)]
    one.reset_config(trial(2))
    last = [numbers(one.step()) for _ in range(2)]
    assert first == last
    assert first != between


def test_a_lost_worker_goes_on_and_a_torn_checkpoint_costs_its_epochs_alone(worker, tmp_path):
    steady = worker(5)
    expected = [numbers(steady.step()) for _ in range(2)]
    worker(6).step()
    other = worker(6)  # finds trial 6's checkpoint and repeats its last report
    assert [numbers(other.step()) for _ in range(2)] == expected
    path = tmp_path / "checkpoints" / "trial_0005.pt"
    path.write_bytes(path.read_bytes()[:1000])
    again = worker(5)
    assert [numbers(again.step()) for _ in range(2)] == expected


def test_a_checkpoint_that_cannot_be_written_is_nobodys_failure(worker, job, tmp_path):
    trainable = worker(0)
    (tmp_path / "checkpoints").rmdir()
    (tmp_path / "checkpoints").write_text("in the way")
    result = trainable.step()
    assert result.keys() == {UNSAVED}
    assert result[UNSAVED].startswith(f"cannot write {tmp_path}/checkpoints: ")
    assert "--resume" in result[UNSAVED]


def test_what_fails_becomes_a_result_with_the_reason_and_the_worker_lives(worker):
    one = worker(0, CONFIG.replace(max_lr=1.0, clip_norm=0.0, age_loss="l1", schedule="constant"))
    one._training.model.age_head.weight.data.fill_(float("nan"))
    failure = one.step()[DIVERGED]
    assert "epoch 1" in failure
    assert "learning rate" in failure
    one.reset_config(trial(1, backbone="no_such"))
    assert "no_such" in one.step()[FAILURE]
    one.reset_config(trial(2))
    assert one.step()[METRICS]["epoch"] == 1


def test_a_teacher_teaches_where_it_is_named_and_changes_what_is_learned(worker, job):
    with_teacher = CONFIG.replace(teacher_weight=0.9)
    alone, missing = numbers(worker(0).step()), worker(1, with_teacher).step()
    assert "teacher_weight=0.9 and no teacher" in missing[FAILURE]
    youngest = np.eye(1, NUM_AGES, dtype=np.float32).repeat(64, axis=0)
    teacher = Teacher(youngest, np.zeros(64, dtype=np.float32))
    job.teachers[SEARCH_ROWS] = teacher
    taught = numbers(worker(2, with_teacher).step())
    assert taught["train_loss"] != alone["train_loss"]
    assert numbers(worker(3).step()) == alone  # nobody asks the teacher


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: device-side assert triggered", 710),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_machine_did_is_raised_so_that_ray_takes_a_fresh_worker(
    worker, monkeypatch, error
):
    one = worker(0)

    def broken():
        raise error

    monkeypatch.setattr(one._training, "run_epoch", broken)
    for _ in range(2):  # whatever Ray asks of it, a poisoned worker has no results
        with pytest.raises(type(error)):
            one.step()


def test_a_node_without_the_faces_says_so(worker, job):
    job.images_path.unlink()
    with pytest.raises(FileNotFoundError, match="no packed faces"):
        worker(0)


@pytest.mark.slow
def test_a_node_without_the_faces_gets_them_through_the_object_store(job):
    images = np.load(job.images_path)
    job.images_path.unlink()
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:

        @ray.remote
        def look(job):
            seen = job.open_images()
            return seen.copy(), seen.flags.writeable

        elsewhere = dataclasses.replace(job, images_ref=[ray.put(images)])
        seen, writeable = ray.get(look.remote(elsewhere))
    finally:
        ray.shutdown()
    assert np.array_equal(seen, images)
    assert not writeable  # shared by all trials of the node, not copied for each
