"""ONNX: the file answers as PyTorch does, for any number of faces, or there is no file."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from utkface import export
from utkface.augment import ops
from utkface.config import TrainConfig
from utkface.intervals import fit_intervals
from utkface.io import UserError
from utkface.model import FaceModel, PixelModel, TrainedModel, build_model, save_model

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

SIZE = 32


def tiny_model(**values: object) -> TrainedModel:
    """Make a model of one convolution with BatchNorm, which is exported in a second or two."""
    torch.manual_seed(0)
    config = TrainConfig(image_size=SIZE, pretrained=False, **values)
    convolution = nn.Conv2d(3, 8, 3, stride=4, bias=False)
    block = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.Hardswish())
    block.out_channels = 8
    model = FaceModel(config, nn.Sequential(block))
    block[1].running_mean.uniform_(-1, 1)
    block[1].running_var.uniform_(0.5, 2)
    return TrainedModel(model.eval(), config, {"seed": 3}, fit_intervals([], []))


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[TrainedModel, Path, export.MaxError]:
    ops._imagenet.cache_clear()  # as in a process that has predicted nothing yet
    trained = tiny_model(dldl_estimate="median")  # the mean is exported below
    path = tmp_path_factory.mktemp("onnx") / "deeper" / "model.onnx"
    return trained, path, export.export_onnx(trained, path)


@pytest.mark.parametrize("num_faces", [1, 5, 33])
def test_onnx_runtime_answers_as_pytorch_does(exported, num_faces: int) -> None:
    trained, path, _ = exported
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (num_faces, SIZE, SIZE, 3), np.uint8)
    expected = PixelModel(trained.model).predict(torch.from_numpy(pixels))
    session = onnxruntime.InferenceSession(path)
    answers = session.run(["age_years", "female_probability"], {"pixels": pixels})
    assert np.ptp(answers[0]) > 0.01 or num_faces == 1
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, wanted, atol=1e-3)


@pytest.mark.parametrize(("options", "flip"), [([], True), (["--no-flip"], False)])
def test_a_model_that_was_evaluated_with_mirror_images_answers_so(
    tmp_path, monkeypatch, options: list[str], flip: bool
) -> None:
    trained = dataclasses.replace(tiny_model(), about={"flip": True})
    path = tmp_path / "model.onnx"
    monkeypatch.setattr(export, "load_model", lambda _: trained)
    export.main(["model.pt", str(path), *options])
    pixels = np.random.default_rng(7).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
    expected, other = (
        PixelModel(trained.model, flip=look).predict(torch.from_numpy(pixels))[0]
        for look in (flip, not flip)
    )
    session = onnxruntime.InferenceSession(path)
    age_years, _ = session.run(None, {"pixels": pixels})
    np.testing.assert_allclose(age_years, expected, atol=1e-4)
    assert abs(age_years - other.numpy()).max() > 1e-3
    assert json.loads(session.get_modelmeta().custom_metadata_map["about"]) == {"flip": flip}


def test_predictions_of_this_process_are_the_same_after_an_export(exported) -> None:
    trained, _, _ = exported
    pixels = torch.full((1, SIZE, SIZE, 3), 200, dtype=torch.uint8)
    after = PixelModel(trained.model).predict(pixels)
    ops._imagenet.cache_clear()
    assert torch.equal(PixelModel(trained.model).predict(pixels)[0], after[0])


def test_the_file_says_what_it_wants_and_where_it_is_from(exported) -> None:
    _, path, difference = exported
    session = onnxruntime.InferenceSession(path)
    (pixels,) = session.get_inputs()
    assert (pixels.type, pixels.shape[1:]) == ("tensor(uint8)", [SIZE, SIZE, 3])
    assert isinstance(pixels.shape[0], str)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["image_size"] == str(SIZE)
    assert json.loads(metadata["interval"])["level"] == 0.9
    assert json.loads(metadata["about"]) == {"seed": 3}
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    assert 0 <= difference.age_years <= 0.01


def test_a_file_that_disagrees_is_not_left_and_the_old_one_stays(
    exported, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    monkeypatch.setattr(export, "_convert", lambda *args: shutil.copy(exported[1], args[-1]))
    other = tiny_model()
    with torch.no_grad():
        other.model.age_head.bias.add_(torch.linspace(-5, 5, 117))
    with pytest.raises(UserError, match="differ by"):
        export.export_onnx(other, path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_answers_that_are_no_numbers_are_no_agreement(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(export, "_convert", lambda *args: args[-1].touch())
    monkeypatch.setattr(export, "_compare", lambda *_: export.MaxError(float("nan"), 0.0))
    with pytest.raises(UserError, match="differ by nan years"):
        export.export_onnx(tiny_model(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named_before_anything_is_done(tmp_path, monkeypatch) -> None:
    found = export.importlib.util.find_spec
    monkeypatch.setattr(
        export.importlib.util, "find_spec", lambda name: None if name == "onnx" else found(name)
    )
    with pytest.raises(UserError, match="needs onnx, which is not installed; run: pip install"):
        export.main([str(tmp_path / "no model.pt"), str(tmp_path / "model.onnx")])


@pytest.mark.slow
def test_the_command_exports_the_real_network(tmp_path, capsys) -> None:
    config = TrainConfig(image_size=64, pretrained=False, age_loss="l1")
    save_model(tmp_path / "m.pt", TrainedModel(build_model(config, "none").eval(), config))
    export.main([str(tmp_path / "m.pt"), str(tmp_path / "m.onnx")])
    said = capsys.readouterr().out
    assert "(N, 64, 64, 3) uint8 RGB" in said
    assert "largest difference from PyTorch" in said
    assert (tmp_path / "m.onnx").stat().st_size > 3_000_000  # 0.9 million float32 weights
