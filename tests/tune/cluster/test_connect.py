import socket
import time

import pytest

from tune import cluster
from tune.cluster.connect import CONNECT_TIMEOUT_S
from utkface.errors import UserError


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


@pytest.mark.slow
def test_a_listener_that_is_no_ray_is_told_in_bounded_time():
    with socket.create_server(("127.0.0.1", 0)) as server:
        start_s = time.monotonic()
        with pytest.raises(UserError, match="no Ray cluster at"):
            cluster.connect(f"127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - start_s < CONNECT_TIMEOUT_S + 15
