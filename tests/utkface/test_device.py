"""What is done for the machine: a recorded step is called where there is no card; memory stays."""

import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

from utkface.device import GraphedStep, keep_freed_memory


def test_without_a_card_each_call_leaves_its_own_gradients() -> None:
    layer = nn.Linear(2, 1, bias=False)
    step = GraphedStep(list(layer.parameters()), torch.Generator())

    def backward(inputs: torch.Tensor) -> torch.Tensor:
        loss = layer(inputs).sum()
        loss.backward()
        return loss.detach()

    for value in (1.0, 2.0, 3.0, 4.0):
        inputs = torch.full((1, 2), value)
        loss = step(backward, inputs)
        assert loss == layer(inputs).sum()
        assert layer.weight.grad is not None
        assert layer.weight.grad.tolist() == [[value, value]]


# In a process of its own: the heap of one that has run other tests is in pieces.
MEMORY_SCRIPT = """
if not keep_freed_memory():
    print("no mallopt")
else:
    for size in (32 * 2**20, 128 * 2**20):
        faults = []
        for _ in range(16):  # the allocator sets a few blocks of one size aside first
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            bytearray(size)  # freed at once
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        print(max(faults[-4:]) / (size / resource.getpagesize()))
    print(ctypes.CDLL(None).mallopt(-3, 2**26))  # whether it takes so high a threshold
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a matter of Linux's C library")
def test_a_large_block_is_soon_filled_by_the_kernel_no_more_and_a_huge_one_given_back() -> None:
    # The function alone: a process that imports PyTorch takes seconds.
    parts = ["import ctypes, resource, sys", inspect.getsource(keep_freed_memory), MEMORY_SCRIPT]
    command = [sys.executable, "-c", "\n".join(parts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    if "no mallopt" in done.stdout:
        pytest.skip("this C library has no mallopt")
    kept, given_back, has_threshold = map(float, done.stdout.split())
    assert kept < 0.1
    assert given_back > 0.9 or not has_threshold
