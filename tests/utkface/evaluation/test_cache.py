"""What is there and unchanged is not computed again; what is not, is."""

import numpy as np
import pytest

from utkface.evaluation import cache
from utkface.evaluation.cache import cached, content_digest


@pytest.fixture
def compute(tmp_path, monkeypatch):
    """What counts how often it is called, with a cache of its own."""
    monkeypatch.setenv("UTKFACE_CACHE", str(tmp_path))

    def compute():
        compute.num_calls += 1
        return {"years": np.arange(4.0), "names": np.array(["a", "b"])}

    compute.num_calls = 0
    return compute


def test_arrays_are_computed_once_for_a_key_and_a_name(compute):
    key = content_digest("faces", np.arange(3))
    for _ in range(2):
        found = cached("ages", key, compute)
        assert found.keys() == {"years", "names"}
        np.testing.assert_array_equal(found["years"], np.arange(4.0))
    assert compute.num_calls == 1
    cached("others", key, compute)
    cached("ages", content_digest("other faces"), compute)
    assert compute.num_calls == 3


@pytest.mark.parametrize("fault", ["cut", "empty", "flipped"])
def test_a_damaged_file_is_computed_again(compute, fault):
    key = content_digest("faces")
    cached("ages", key, compute)
    (path,) = (cache.cache_folder() / "evaluation").glob("ages-*.npz")
    data = bytearray(path.read_bytes())
    place = data.index(np.arange(4.0).tobytes())
    data[place + 9] ^= 1
    path.write_bytes({"cut": bytes(data[:-40]), "empty": b"", "flipped": bytes(data)}[fault])
    np.testing.assert_array_equal(cached("ages", key, compute)["years"], np.arange(4.0))
    assert compute.num_calls == 2


def test_a_file_of_another_key_is_not_taken(compute):
    one, another = "0" * 24 + "1", "0" * 24 + "2"  # which the file's name does not tell apart
    for key in (one, another, another, one):
        assert cached("ages", key, compute).keys() == {"years", "names"}
    assert len(list((cache.cache_folder() / "evaluation").iterdir())) == 1
    assert compute.num_calls == 3


def test_a_digest_tells_types_shapes_and_borders_apart():
    zeros = np.zeros(4, np.uint8)
    parts = [
        (zeros,), (zeros.reshape(2, 2),), (zeros.view(np.int8),), (zeros, zeros), ("ab",),
        ("a", "b"), (np.array([1, 2]),), (np.array([2, 1]),),
    ]  # fmt: skip
    assert len({content_digest(*part) for part in parts}) == len(parts)
    turned = np.arange(6).reshape(2, 3).T
    assert content_digest(turned) == content_digest(turned.copy())
