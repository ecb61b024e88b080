"""A search driven through Ray's client (``ray://``), from a machine outside the cluster."""

import contextlib
import tempfile
from collections.abc import Iterator
from unittest import mock

import ray


@contextlib.contextmanager
def staged_here() -> Iterator[None]:
    """Let Ray Tune's loop run in this process also where Ray is a client.

    Tune stages its logs in the session folder of the node that it runs on. A client is on none, and
    Tune would go to the cluster for it, away from the study and the run folder; so it gets a
    temporary folder of this machine.
    """
    if not ray.util.client.ray.is_connected():
        yield
        return
    with (
        tempfile.TemporaryDirectory(prefix="utkface-ray-") as folder,
        mock.patch("ray.train._internal.storage._get_ray_train_session_dir", return_value=folder),
    ):
        yield
