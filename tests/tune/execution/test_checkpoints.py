import resource

import numpy as np
import pytest
import torch

from tune.cluster.storage import join_uri
from tune.execution.checkpoints import CheckpointStore
from utkface.io import UserError
from utkface.model import Predictions


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path / "checkpoints"))


def test_the_latest_whole_state_comes_back(store, tmp_path):
    store.save(7, {"epoch": 1, "weights": torch.ones(2)})
    store.save(7, {"epoch": 2, "weights": torch.zeros(2)})
    state = store.load(7)
    assert state["epoch"] == 2
    assert torch.equal(state["weights"], torch.zeros(2))
    assert store.load(8) is None
    (tmp_path / "checkpoints" / "trial_0007.pt.tmp").write_bytes(b"half of it")  # and was killed
    assert store.load(7)["epoch"] == 2


def test_a_full_disk_leaves_the_old_state_and_no_half_of_a_new_one(store, tmp_path):
    store.save(7, {"epoch": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # no file may be any longer
    try:
        with pytest.raises(OSError, match="File too large"):
            store.save(7, {"epoch": 2, "weights": torch.ones(5000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.load(7)["epoch"] == 1
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["trial_0007.pt"]


def test_a_truncated_checkpoint_is_refused_in_one_line(store, tmp_path):
    store.save(7, {"epoch": 1, "weights": torch.ones(1000)})
    path = tmp_path / "checkpoints" / "trial_0007.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="trial_0007") as caught:
        store.load(7)
    assert "\n" not in str(caught.value)


def test_only_the_named_are_kept(store, tmp_path):
    folder = tmp_path / "checkpoints"
    for number in range(4):
        store.save(number, {"epoch": number})
    (folder / "trial_0002.pt.tmp").write_bytes(b"half")
    (folder / "notes.txt").write_text("not ours")
    assert store.sizes().keys() == {0, 1, 2, 3}
    store.keep_only({0, 3}, set())
    assert sorted(p.name for p in folder.iterdir()) == [
        "notes.txt",
        "trial_0000.pt",
        "trial_0003.pt",
    ]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(UserError, match="--storage"):
        CheckpointStore(str(file / "checkpoints")).check()
    for unknown in ("nosuch", "sftp", "https"):
        with pytest.raises(UserError, match=f"{unknown}://"):
            CheckpointStore(f"{unknown}://127.0.0.1:9/x").check()
    good = CheckpointStore(f"file://{tmp_path}/uri")
    good.check()
    assert list((tmp_path / "uri").iterdir()) == []


def test_what_follows_a_question_mark_is_no_part_of_a_folder(tmp_path):
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "mine.txt").touch()
    storage = f"file://{keep}?x=1"
    store = CheckpointStore.of_run(storage, tmp_path, "run")
    store.check()
    store.save(0, {"epoch": 1})
    assert sorted(path.name for path in keep.iterdir()) == ["mine.txt", "run"]
    assert (keep / "run" / "trial_0000.pt").is_file()
    assert join_uri("memory://", "b") == "memory://b"
    assert join_uri("s3://bucket/a/?scheme=http", "b") == "s3://bucket/a/b?scheme=http"


def test_what_pyarrow_does_not_know_is_looked_for_in_fsspec():
    store = CheckpointStore("memory://bucket/run")
    store.save(3, {"epoch": 1})
    store.save(3, {"epoch": 2})
    assert store.load(3)["epoch"] == 2
    store.keep_only(set(), set())
    assert store.load(3) is None


def test_runs_that_share_a_storage_do_not_meet(tmp_path):
    storage = f"file://{tmp_path}/shared/"
    first, second = (CheckpointStore.of_run(storage, tmp_path, name) for name in ("a-1", "a-2"))
    first.save(0, {"epoch": 1})
    assert second.load(0) is None
    second.keep_only(set(), set())
    assert first.load(0)["epoch"] == 1
    own = CheckpointStore.of_run(None, tmp_path, "a-1")
    assert own.uri == str(tmp_path / "checkpoints")


@pytest.mark.parametrize("length", [0, 100])
def test_damaged_predictions_are_none(store, tmp_path, length):
    store.save_predictions(4, Predictions(np.ones(9, np.float32), np.ones(9, np.float32)))
    path = tmp_path / "checkpoints" / "predictions" / "trial_0004.npz"
    path.write_bytes(path.read_bytes()[:length])
    assert store.load_predictions(4) is None


def test_predictions_come_back_and_are_kept_apart_from_checkpoints(store):
    assert store.load_predictions(4) is None
    for number in (4, 5):
        ages = np.array([1.5, 80.25], np.float32)
        store.save_predictions(number, Predictions(ages, np.array([0.125, 1.0], np.float32)))
    store.save(4, {"epoch": 1})
    store.keep_only(set(), {4})
    ages, probabilities = store.load_predictions(4)
    assert ages.tolist() == [1.5, 80.25]
    assert probabilities.tolist() == [0.125, 1.0]
    assert store.load_predictions(5) is None
    assert store.load(4) is None
