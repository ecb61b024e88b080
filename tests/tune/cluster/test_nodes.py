"""What a node looks at before a search, here in one process."""

import numpy as np
import pytest
import torch

from tune.cluster.nodes import Seen, Wanted, Weights, look
from tune.cluster.storage import DRIVER, Probe
from utkface.config import TrainConfig
from utkface.model import build_model

CONFIG = TrainConfig(image_size=32)
SHAPE = (4, 32, 32, 3)


@pytest.fixture
def probe(tmp_path):
    probe = Probe(str(tmp_path / "storage"))
    probe.leave(DRIVER)
    return probe


@pytest.fixture
def packed(tmp_path):
    np.save(tmp_path / "faces.npy", np.zeros(SHAPE, dtype=np.uint8))
    return tmp_path / "faces.npy"


@pytest.fixture
def weights_file(tmp_path, monkeypatch):
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "features.pth"
    torch.save(build_model(CONFIG, "none").features.state_dict(), path)
    return path


def test_a_node_that_has_everything(probe, packed, tmp_path):
    seen = look(Wanted(probe, packed, SHAPE, Weights("none", None), CONFIG), "node")
    assert seen == Seen(None, None, has_faces=True)
    assert probe.sees("node")
    probe.remove()
    assert list((tmp_path / "storage").iterdir()) == []


def test_another_storage_at_the_same_path(packed, tmp_path):
    probe = Probe(str(tmp_path / "elsewhere"))  # the driver has left nothing here
    seen = look(Wanted(probe, packed, SHAPE, Weights("none", None), CONFIG), "node")
    assert seen.storage_problem == "what the driver wrote is not there"


def test_a_storage_that_cannot_be_written(packed, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for uri in (str(tmp_path / "file"), "nosuch://bucket"):
        seen = look(Wanted(Probe(uri), packed, SHAPE, Weights("none", None), CONFIG), "node")
        assert seen.storage_problem
        assert "\n" not in seen.storage_problem


def test_other_faces_under_the_same_name_are_not_taken(probe, packed):
    seen = look(Wanted(probe, packed, (5, *SHAPE[1:]), Weights("none", None), CONFIG), "node")
    assert not seen.has_faces


def test_a_file_of_weights_travels_with_its_path(probe, packed, weights_file, tmp_path):
    weights = Weights.read(str(weights_file))
    assert weights.here() == str(weights_file)
    weights_file.unlink()  # as on another machine
    assert look(Wanted(probe, packed, SHAPE, weights, CONFIG), "node").weights_problem is None
    written = tmp_path / "cache" / "weights"
    assert [path.read_bytes() for path in written.iterdir()] == [weights.content]
    assert weights.here() == weights.here() != str(weights_file)


def test_weights_that_do_not_fit_are_told(probe, packed, weights_file):
    weights = Weights.read(str(weights_file))
    config = CONFIG.replace(backbone="mobilenet_v3_large")
    seen = look(Wanted(probe, packed, SHAPE, weights, config), "node")
    assert "do not fit" in seen.weights_problem
