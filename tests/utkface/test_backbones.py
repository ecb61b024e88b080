"""Backbones by name: their maps, their weights, and what training them takes."""

import sys
import urllib.error

import numpy as np
import pytest
import torch
import torchvision

from utkface.backbones import fused, load_weights, make_features, num_channels, training_bytes
from utkface.batches import TrainingData
from utkface.config import TrainConfig
from utkface.io import UserError
from utkface.model import TrainedModel, build_model, load_model, save_model
from utkface.training import Training

SMALL = "mobilenet_v3_small"
TIMM = "timm:mobilenetv3_small_050"


def config(**values: object) -> TrainConfig:
    return TrainConfig.from_dict({"image_size": 32, **values})


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
    features = make_features(SMALL).train()
    before = {name: value.clone() for name, value in features.state_dict().items()}
    assert num_channels(features) == 576
    assert features.training
    assert all(torch.equal(before[n], value) for n, value in features.state_dict().items())


def test_what_an_image_keeps_grows_with_its_area() -> None:
    small, weights = training_bytes(SMALL, 64)
    large, same_weights = training_bytes(SMALL, 128)
    assert large == pytest.approx(4 * small, rel=0.05)
    num_weights = sum(p.numel() for p in make_features(SMALL).parameters())
    assert weights == same_weights == 20 * num_weights


def test_a_backbone_of_timms_is_trained_and_answers_from_its_file_as_before(tmp_path) -> None:
    pytest.importorskip("timm", reason="timm's backbones are an extra")
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    rows = np.arange(8)
    data = TrainingData(images, rows, rows % 2, rows % 5, rows[:6], rows[6:])
    made = Training(config(backbone=TIMM, batch_size=4, ema_decay=0.0), data, weights="none")
    assert np.isfinite(list(made.run_epoch().values())).all()
    model = made.model.eval().to(memory_format=torch.contiguous_format)  # as one that was read
    save_model(tmp_path / "model.pt", TrainedModel(model, made.config))
    normalised = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        outputs = model(normalised)
        again = load_model(tmp_path / "model.pt").model(normalised)
    assert model.ages(outputs).shape == model.gender_probability(outputs).shape == (2,)
    assert torch.equal(again.age_output, outputs.age_output)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "rexnet_100"])
@pytest.mark.parametrize("prefix", ["", "features."])
def test_timms_weights_are_read_from_a_file(tmp_path, name: str, prefix: str) -> None:
    """Rexnet names some of its own layers ``features.``; the prefix is that of our whole models."""
    timm = pytest.importorskip("timm", reason="timm's backbones are an extra")
    own = timm.create_model(name, pretrained=False).state_dict()
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


@pytest.mark.parametrize("prefix", ["", "features."])
def test_a_file_of_features_is_loaded_with_and_without_prefix(tmp_path, prefix: str) -> None:
    source = make_features(SMALL).state_dict()
    state = {prefix + name: value for name, value in source.items()}
    if prefix:
        state["classifier.0.weight"] = torch.zeros(2, 2)
    torch.save(state, tmp_path / "backbone.pth")
    loaded = build_model(config(), tmp_path / "backbone.pth").features.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in source.items())


def test_without_pretraining_no_weights_are_read() -> None:
    build_model(config(pretrained=False), "no/such/file.pth")


def test_what_are_no_weights_of_the_backbone_is_refused_in_one_line(tmp_path) -> None:
    torch.save(make_features("mobilenet_v3_large").state_dict(), tmp_path / "large.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_bytes(b"not weights at all")
    (tmp_path / "half.pth").write_bytes(b"PK\x03\x04 half an archive")
    for name, message in {
        "large": r"large\.pth do not fit.*mobilenet_v3_small",
        "other": r"other\.pth does not hold a dictionary of tensors",
        "empty": r"empty\.pth is not a readable weights file",
        "text": r"text\.pth is not a readable weights file",
        "half": r"half\.pth is not a readable weights file",
        "missing": r"there is no weights file .*missing\.pth",
    }.items():
        with pytest.raises(UserError, match=message) as caught:
            build_model(config(), tmp_path / f"{name}.pth")
        assert "\n" not in str(caught.value)


def test_a_failed_download_says_what_to_do_instead(monkeypatch, tmp_path) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(UserError, match=r"--weights path/to/.*or --weights none"):
        build_model(config(), "imagenet")
