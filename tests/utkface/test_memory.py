"""The memory that a training process keeps."""

import resource
import sys

import pytest
import torch

from utkface.memory import keep_freed_memory


@pytest.mark.skipif(sys.platform != "linux", reason="a matter of Linux's C library")
def test_a_large_block_is_filled_by_the_kernel_only_once() -> None:
    if not keep_freed_memory():
        pytest.skip("this C library has no mallopt")
    num_pages = 64 * 2**20 // resource.getpagesize()
    torch.ones(16 * 2**20)  # 64 MiB, freed at once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 * 2**20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < num_pages / 10
