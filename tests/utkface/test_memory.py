"""The memory that a training process keeps."""

import subprocess
import sys

import pytest

# In a process of its own: the heap of one that has run other tests is in pieces.
SCRIPT = """
import resource
import torch
from utkface.memory import keep_freed_memory

if not keep_freed_memory():
    print("no mallopt")
else:
    faults = []
    for _ in range(16):  # the allocator sets a few blocks of one size aside first
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(16 * 2**20)  # 64 MiB, freed at once
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    print(max(faults[-4:]) / (64 * 2**20 / resource.getpagesize()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a matter of Linux's C library")
def test_a_large_block_is_soon_filled_by_the_kernel_no_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    if "no mallopt" in done.stdout:
        pytest.skip("this C library has no mallopt")
    assert float(done.stdout) < 0.1
