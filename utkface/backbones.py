"""Convolutional backbones by name, and their first weights.

A backbone is a network without its classifier, from images (B, 3, H, W) to feature maps
(B, C, h, w): one of torchvision's that `TrainConfig` names (MobileNetV3,
https://arxiv.org/abs/1905.02244, by default), or with ``timm:NAME`` any convolutional one of the
timm package (https://github.com/huggingface/pytorch-image-models), an extra.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from utkface.config import TIMM
from utkface.io import UserError

_SIZE = 64  # pixels that every backbone can take


def make_features(name: str) -> nn.Module:
    """Build a backbone without weights.

    Raises `UserError` for a name of timm's that does not exist, is no convolutional network, or
    cannot be had because timm is not installed.
    """
    if name.startswith(TIMM):
        features = _make_timm(name)
    else:
        parts = OrderedDict(torchvision.models.get_model(name, weights=None).named_children())
        if "features" not in parts:  # a ResNet: all before its pooling, under its own names
            del parts["avgpool"], parts["fc"]
        features = parts.get("features") or nn.Sequential(parts)
    for module in features.modules():
        if isinstance(module, nn.Hardswish):
            module.inplace = False  # in place it copies its input for the backward pass: 3 % slower
    return features


def _make_timm(name: str, **options: Any) -> nn.Module:
    try:
        import timm  # an extra, and slow to import
    except ImportError as error:
        raise UserError(
            f'backbone={name} needs the package timm: pip install "utkface-tune[timm]"'
        ) from error
    try:
        features = timm.create_model(
            name.removeprefix(TIMM), num_classes=0, global_pool="", **options
        )
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"backbone={name} cannot be built: timm says {reason}") from error
    try:
        has_maps = _maps(features).dim() == 4
    except (RuntimeError, AssertionError):  # one that takes a single size of images
        has_maps = False
    if not has_maps:
        raise UserError(f"backbone={name} gives no feature maps; allowed: a convolutional network")
    return features


def num_channels(features: nn.Module) -> int:
    """Return how many channels the feature maps of a backbone have."""
    return _maps(features).shape[1]


@torch.no_grad()
def _maps(features: nn.Module) -> Tensor:
    """Return the maps of a black image, with the backbone left as it was."""
    was_training = features.training
    device = next(features.parameters()).device
    maps = features.eval()(torch.zeros(1, 3, _SIZE, _SIZE, device=device))
    features.train(was_training)
    return maps


def training_bytes(backbone: str, image_size: int) -> tuple[int, int]:
    """Return what one image keeps for the backward pass in float32, and what the weights take.

    The weights with their gradient, AdamW's two moments and an average. Nothing is computed: the
    backbone runs on PyTorch's meta device, which knows shapes alone.
    """
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    features = make_features(backbone).to("meta").train()
    images = torch.zeros(2, 3, image_size, image_size, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        features(images)
    num_weights = sum(parameter.numel() for parameter in features.parameters())
    return sum(kept.values()) // len(images), 5 * 4 * num_weights


def fused(features: nn.Module) -> nn.Module:
    """Return a copy for prediction, with BatchNorm folded into the convolutions where it can be.

    Twice as fast on a CPU. Where the tracer cannot follow a network, it stays as it is.
    """
    try:
        return fuse(features)
    except Exception:  # whatever a network's own code trips over
        return features


def load_weights(features: nn.Module, backbone: str, weights: str | Path) -> None:
    """Load ``imagenet`` weights, or those of a file, into a backbone.

    Raises `UserError` where they cannot be had or do not fit.
    """
    state = _download(backbone) if str(weights) == "imagenet" else _read(Path(weights))
    wanted = features.state_dict().keys()
    # Those of a whole network have a prefix, though some of timm's own begin with it too.
    prefix = "features." if wanted.isdisjoint(state) else ""
    try:  # what a classifier had is left out
        features.load_state_dict({name: state[prefix + name] for name in wanted})
    except (RuntimeError, KeyError) as error:
        raise UserError(
            f"the weights {weights} do not fit the features of backbone={backbone}; "
            f"give that backbone's own, or --weights none"
        ) from error


def _download(backbone: str) -> dict[str, Tensor]:
    """Return a backbone's ImageNet weights, from a cache or the network."""
    try:
        if backbone.startswith(TIMM):
            return _make_timm(backbone, pretrained=True).state_dict()
        weights = torchvision.models.get_model_weights(backbone)["IMAGENET1K_V1"]
        return weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download the ImageNet weights of {backbone} ({error}); "
            f"give a file with --weights path/to/{backbone.removeprefix(TIMM)}_features.pth, or "
            "--weights none"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, without running any code that it may hold."""
    advice = "give the state dict of the backbone's features, or --weights none"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no weights file {path}; {advice}") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is not a readable weights file; {advice}") from error
    if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
        raise UserError(f"{path} does not hold a dictionary of tensors; {advice}")
    return state
