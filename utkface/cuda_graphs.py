"""A training step as a CUDA graph: recorded once, then launched as one.

MobileNetV3-Small takes some 700 kernels forward and backward. Where each runs for less time than
the host needs to launch it, the card waits; a graph launches them all at once.
https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs/
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


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
        if self._generator.device.type != "cuda":
            return self._called(function, inputs)
        key = variant, *(tensor.shape for tensor in inputs)
        if key not in self._recordings:
            self._num_calls[key] += 1
            if self._num_calls[key] <= self.NUM_WARM_UP:
                return self._called(function, inputs)
            self._recordings[key] = self._record(function, inputs)
        recording = self._recordings[key]
        for place, tensor in zip(recording.inputs, inputs, strict=True):
            place.copy_(tensor)
        recording.graph.replay()
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        return recording.output.clone()  # the next replay writes there

    def _called(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Tensor:
        self._forget_gradients()
        return function(*inputs)

    def _record(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> _Recording:
        """Record a call, of which nothing is computed yet.

        After an error, too little memory for one, the process can go on training.
        """
        try:
            return self._recorded(function, inputs)
        except BaseException:
            # A recording that breaks off leaves its generators waiting for the rest of it.
            here = self._generator.device
            for generator in (self._generator, torch.cuda.default_generators[here.index or 0]):
                fresh = torch.Generator(here).manual_seed(generator.initial_seed())
                generator.graphsafe_set_state(fresh)
            raise

    def _recorded(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> _Recording:
        self._forget_gradients()  # recorded gradients are written anew by each replay, not added to
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        places = [tensor.clone() for tensor in inputs]
        pool = next(iter(self._recordings.values())).graph.pool() if self._recordings else None
        # Other threads of a worker may use the card meanwhile: theirs is not recorded.
        with torch.cuda.graph(
            graph,
            pool=pool,
            stream=torch.cuda.current_stream(),
            capture_error_mode="thread_local",
        ):
            output = function(*places)
        gradients = [parameter.grad for parameter in self._parameters]
        return _Recording(graph, places, output, gradients)

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
