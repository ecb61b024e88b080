import socket
import sys
import time
from types import SimpleNamespace

import pytest
import ray

from tune import cluster
from tune.cluster.connect import CLIENT_ATTEMPTS, CONNECT_TIMEOUT_S
from utkface.io import UserError


@pytest.mark.parametrize("address", ["nonsense", "host:", ":123", "127.0.0.1:port"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(UserError, match=r"allowed: host:port, auto, ray://host:port"):
        cluster.connect(address)


def test_nobody_listening_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(UserError, match="no Ray cluster at"):
            cluster.connect(address)


class BusyHead:
    """Stands for `ray.init` where a head cannot start a client's server, so many times."""

    def __init__(self, num_failures, monkeypatch):
        self.num_left, self.num_calls = num_failures, 0
        monkeypatch.setattr(ray, "init", self)
        monkeypatch.setattr(sys.modules["tune.cluster.connect"], "CLIENT_PAUSE_S", 0)

    def __call__(self, **options):
        self.num_calls += 1
        if self.num_left:
            self.num_left -= 1
            raise ConnectionAbortedError(
                "Initialization failure from server:\nTraceback (most recent call last):\n"
                '  File "proxier.py", line 1, in Datapath\nRuntimeError: no such luck\n'
            )
        return SimpleNamespace(dashboard_url="127.0.0.1:1")


@pytest.fixture
def client_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ray://127.0.0.1:{server.getsockname()[1]}"


def test_a_head_too_busy_for_a_client_is_asked_again(client_address, monkeypatch):
    head = BusyHead(2, monkeypatch)
    assert cluster.connect(client_address) == "http://127.0.0.1:1"
    assert head.num_calls == 3


def test_a_head_that_stays_too_busy_is_told_with_its_own_reason(client_address, monkeypatch):
    head = BusyHead(99, monkeypatch)
    with pytest.raises(UserError, match=r"\(RuntimeError: no such luck\)") as caught:
        cluster.connect(client_address)
    assert "\n" not in str(caught.value)
    assert head.num_calls == CLIENT_ATTEMPTS


@pytest.mark.slow
def test_a_listener_that_is_no_ray_is_told_in_bounded_time():
    with socket.create_server(("127.0.0.1", 0)) as server:
        start_s = time.monotonic()
        with pytest.raises(UserError, match="no Ray cluster at"):
            cluster.connect(f"127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - start_s < CONNECT_TIMEOUT_S + 15
