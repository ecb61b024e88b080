"""What a search checks before anything is started."""

from pathlib import Path

import pytest
import torch

from tune.options.search import SearchOptions
from tune.search.prepare import prepare
from utkface.backbones import make_features
from utkface.io import UserError

SPACE = '''"""Which learning rate suits ResNet-18?"""

def suggest(trial):
    trial.suggest_float("max_lr", 1e-4, 1e-2, log=True)
    return {"backbone": "resnet18"}
'''


class FacesAreNext(Exception):  # noqa: N818 no error
    """Everything before the faces was in order."""


@pytest.fixture(autouse=True)
def _no_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_faces(*given: object) -> None:
        raise FacesAreNext

    monkeypatch.setattr("tune.search.prepare.load_faces", load_faces)


def options(folder: Path, backbone: str) -> SearchOptions:
    """Options of a search over ResNet-18 that begins with weights of some backbone."""
    space, weights = folder / "residual.py", folder / "weights.pth"
    space.write_text(SPACE)
    torch.save(make_features(backbone).state_dict(), weights)
    return SearchOptions(space=str(space), weights=str(weights), data=["demo"], image_size=32)


def test_weights_are_those_of_the_spaces_own_backbone(tmp_path: Path) -> None:
    with pytest.raises(FacesAreNext):
        prepare(options(tmp_path, "resnet18"))


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resnet18"):
        prepare(options(tmp_path, "mobilenet_v3_small"))
