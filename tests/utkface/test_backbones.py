"""Backbones by name: their maps, their files, and what training them takes."""

import sys

import pytest
import torch
import torchvision

from utkface.backbones import fused, load_weights, make_features, num_channels, training_bytes
from utkface.config import TrainConfig
from utkface.io import UserError


def test_a_resnet_ends_before_its_pooling_and_takes_torchvisions_weights(tmp_path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    features = make_features("resnet18").eval()
    load_weights(features, "resnet18", tmp_path / "resnet18.pth")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled = features(images).mean(dim=(2, 3))
        assert torch.allclose(network.fc(pooled), network(images), atol=1e-5)
        assert torch.allclose(fused(features)(images), features(images), atol=1e-4)
    assert num_channels(features) == 512


def test_asking_for_the_channels_changes_nothing() -> None:
    features = make_features("mobilenet_v3_small").train()
    before = {name: value.clone() for name, value in features.state_dict().items()}
    assert num_channels(features) == 576
    assert features.training
    assert all(torch.equal(before[n], value) for n, value in features.state_dict().items())


def test_what_an_image_keeps_grows_with_its_area() -> None:
    small, weights = training_bytes("mobilenet_v3_small", 64)
    large, same_weights = training_bytes("mobilenet_v3_small", 128)
    assert large == pytest.approx(4 * small, rel=0.05)
    num_weights = sum(p.numel() for p in make_features("mobilenet_v3_small").parameters())
    assert weights == same_weights == 20 * num_weights


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "rexnet_100"])
@pytest.mark.parametrize("prefix", ["", "features."])
def test_timms_weights_are_read_from_a_file(tmp_path, name: str, prefix: str) -> None:
    """Rexnet names some of its own layers ``features.``; the prefix is that of our whole models."""
    timm = pytest.importorskip("timm", reason="timm's backbones are an extra")
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False)
    own = network.state_dict()
    torch.save({prefix + key: value for key, value in own.items()}, tmp_path / "timm.pth")
    features = make_features(f"timm:{name}")
    load_weights(features, f"timm:{name}", tmp_path / "timm.pth")
    assert all(torch.equal(own[name], value) for name, value in features.state_dict().items())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("timm:vit_tiny_patch16_224", "gives no feature maps"),
        ("timm:no_such_network", "cannot be built: timm says"),
    ],
)
def test_what_is_no_convolutional_network_of_timms_is_refused(name: str, reason: str) -> None:
    pytest.importorskip("timm", reason="timm's backbones are an extra")
    with pytest.raises(UserError, match=reason) as caught:
        make_features(name)
    assert "\n" not in str(caught.value)


def test_without_timm_its_backbones_say_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r'pip install "utkface-tune\[timm\]"'):
        make_features("timm:seresnet50")


def test_a_name_is_checked_before_anything_is_built() -> None:
    assert TrainConfig(backbone="timm:seresnet50").backbone == "timm:seresnet50"
    with pytest.raises(UserError, match=r"resnet5 .*allowed: mobilenet_v3_small, .*, timm:NAME"):
        TrainConfig(backbone="resnet5 ")
