"""The step that a card records: called as it is where there is no card."""

import torch
from torch import nn

from utkface.cuda_graphs import GraphedStep


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
