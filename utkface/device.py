"""What training does for the machine's sake: a step as a CUDA graph, half precision, its memory.

MobileNetV3-Small takes some 700 kernels forward and backward. Where each runs for less time than
the host needs to launch it, the card waits; a graph, recorded once, launches them all at once.
https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs/
"""

import ctypes
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_HALF_PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class _Recording:
    """A graph, and the memory that it reads from and writes to."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    output: Tensor
    gradients: list[Tensor | None]  # of each parameter


class GraphedStep:
    """Calls one function that leaves gradients in parameters, on a card through CUDA graphs.

    The function, given at each call so that no cycle of references keeps its owner alive, takes
    tensors, may draw from ``generator`` and from torch's global one, sets the gradients of
    ``parameters``, which have none before, and returns one tensor. On a card nothing in it may wait
    for the host or ask for a number. There is a graph for each ``variant`` and each shape of the
    arguments, in one pool of memory: what one leaves is used before the next runs. Elsewhere than
    on a card the function is simply called.
    """

    #: Ordinary calls before a graph is recorded: in the first, libraries choose their algorithms,
    #: and constants come onto the card.
    NUM_WARM_UP = 2

    def __init__(self, parameters: Sequence[nn.Parameter], generator: torch.Generator) -> None:
        self._parameters = parameters
        self._generator = generator
        self._num_calls: Counter[Hashable] = Counter()
        self._recordings: dict[Hashable, _Recording] = {}

    def __call__(
        self, function: Callable[..., Tensor], *inputs: Tensor, variant: Hashable = None
    ) -> Tensor:
        """Return what the function does; the gradients are those of this call alone."""
        for parameter in self._parameters:
            parameter.grad = None  # a graph too writes gradients anew and adds to none
        if self._generator.device.type != "cuda":
            return function(*inputs)
        key = variant, *(tensor.shape for tensor in inputs)
        self._num_calls[key] += 1
        if self._num_calls[key] <= self.NUM_WARM_UP:
            return function(*inputs)
        if key not in self._recordings:
            self._recordings[key] = self._record(function, inputs)
        recording = self._recordings[key]
        for place, tensor in zip(recording.inputs, inputs, strict=True):
            place.copy_(tensor)
        recording.graph.replay()
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        return recording.output.clone()  # the next replay writes there

    def _record(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> _Recording:
        """Record a call, of which nothing is computed yet.

        After an error, too little memory for one, the process can go on training.
        """
        pool = next(iter(self._recordings.values())).graph.pool() if self._recordings else None
        try:
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(self._generator)
            places = [tensor.clone() for tensor in inputs]
            # Other threads of a worker may use the card meanwhile: theirs is not recorded.
            with torch.cuda.graph(
                graph,
                pool=pool,
                stream=torch.cuda.current_stream(),
                capture_error_mode="thread_local",
            ):
                output = function(*places)
        except BaseException:
            # A recording that breaks off leaves its generators waiting for the rest of it.
            here = self._generator.device
            for generator in (self._generator, torch.cuda.default_generators[here.index or 0]):
                fresh = torch.Generator(here).manual_seed(generator.initial_seed())
                generator.graphsafe_set_state(fresh)
            raise
        gradients = [parameter.grad for parameter in self._parameters]
        return _Recording(graph, places, output, gradients)


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Queue the block's work on a stream, after what was queued before it; None: as it is."""
    if stream is None:
        yield
        return
    before = torch.cuda.current_stream(stream.device)
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        yield
    before.wait_stream(stream)


def half_precision(amp: str) -> torch.dtype | None:
    """Return what a card computes convolutions in, None for float32, of a `TrainConfig.amp`.

    ``auto`` is bfloat16, whose gradients need no scaling, where the card has it.
    """
    if amp == "auto":
        amp = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return _HALF_PRECISIONS.get(amp)


def keep_freed_memory() -> bool:
    """Let glibc keep large freed blocks instead of handing them back; return whether it does.

    By default every activation of some megabytes is asked of the kernel anew in every step, and
    filling those pages took 20 % of a one-thread step (128 px, batch 128): 170 images/s became 205.
    Blocks over 64 MB, of large images or batches, stay the kernel's: kept as well, they tore the
    heap into pieces that fit no other (200 px: 5.4 GB after 60 steps; now 2.5, for 5 % more time).
    What an earlier run in this process left behind goes back first. Elsewhere than on Linux with
    glibc nothing happens.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return False
    libc.malloc_trim(0)
    m_trim_threshold, m_mmap_threshold, m_mmap_max = -1, -3, -4  # of <malloc.h>
    is_kept = libc.mallopt(m_trim_threshold, 2**31 - 1) and (
        libc.mallopt(m_mmap_threshold, 2**26)
        or libc.mallopt(m_mmap_max, 0)  # where 32 MB is the highest threshold, see mallopt(3)
    )
    return bool(is_kept)
