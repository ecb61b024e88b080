"""BatchNorm statistics measured anew."""

import numpy as np
import pytest
import torch

from utkface.augment import normalise
from utkface.batches import ImageStore
from utkface.batchnorm import measure_batchnorm
from utkface.config import TrainConfig
from utkface.model import build_model


def test_the_statistics_become_those_of_the_faces_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    store = ImageStore(images, torch.device("cpu"))
    model = build_model(TrainConfig(image_size=32), "none").eval()
    convolution, norm = model.features[0][0], model.features[0][1]
    norm.running_mean.fill_(99.0)
    weights = [p.detach().clone() for p in model.parameters()]
    measure_batchnorm(model, store, np.arange(20))
    with torch.no_grad():
        maps = convolution(normalise(store.gather(np.arange(20))))
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, maps.var(dim=(0, 2, 3)))
    assert norm.momentum == pytest.approx(0.01)  # as torchvision set it
    assert not model.training
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
