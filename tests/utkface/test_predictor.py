"""`Predictor`: what it says is what the model says of the training's own pixels, in order."""

import dataclasses
import io
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from utkface.augment import normalise
from utkface.batches import ImageStore
from utkface.config import TrainConfig
from utkface.data.images import decode_face
from utkface.data.sources import find_images
from utkface.intervals import apply_intervals, fit_intervals
from utkface.io import UserError
from utkface.model import TrainedModel, build_model, predict, save_model
from utkface.predict import FacePrediction, Predictor

SIZE = 32


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    torch.manual_seed(0)
    config = TrainConfig(image_size=SIZE, pretrained=False)
    model = build_model(config, "none")
    # Faces are all the same to a fresh network until its BatchNorm has seen how they differ.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    pixels = np.stack([np.asarray(picture(i, SIZE, SIZE)) for i in range(16)])
    with torch.no_grad():
        model.age_head.weight.mul_(3)
        model(normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0, 80, 1_000)
    interval = fit_intervals(predicted + rng.normal(0, 5, 1_000), predicted)
    return TrainedModel(model.eval(), config, {"seed": 0}, interval)


def picture(seed: int, width: int = 40, height: int = 40) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_the_caller_s_model_stays_on_its_device(trained, monkeypatch) -> None:
    monkeypatch.setattr("utkface.predictor.find_device", lambda name: torch.device("meta"))
    Predictor(trained)
    assert {parameter.device.type for parameter in trained.model.parameters()} == {"cpu"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, in order of their names, and four files that are none."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(7):
        picture(i).save(folder / f"face{i}.png")
    buffer = io.BytesIO()
    picture(9).save(buffer, "JPEG")
    (folder / "face3b_half.jpg").write_bytes(buffer.getvalue()[:400])
    (folder / "face5b_empty.jpg").write_bytes(b"")
    (folder / "face5c_text.png").write_text("no picture")
    picture(9, 40, 8).save(folder / "face9_flat.png")
    return folder


def expected(trained: TrainedModel, files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Predict as training validates, from pixels as the packed cache holds them."""
    pixels = np.stack([decode_face(file.read_bytes(), SIZE) for file in files])
    store = ImageStore(pixels, torch.device("cpu"))
    answers = predict(trained.model, store, np.arange(len(files)))
    return answers.age_years, answers.gender_probability


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_every_file_has_its_own_answer_in_its_place(trained, folder, batch_size: int) -> None:
    rows = Predictor(trained, device="cpu", batch_size=batch_size)([folder])
    assert [row.file for row in rows] == sorted(str(path) for path in folder.iterdir())
    good = [row for row in rows if row.error is None]
    ages, female = expected(trained, [Path(row.file) for row in good])
    assert len(good) == 7
    assert len(set(np.round(ages, 2))) > 3
    np.testing.assert_allclose([row.age for row in good], ages, atol=1e-3)
    for row, probability in zip(good, female, strict=True):
        assert row.gender == ("female" if probability > 0.5 else "male")
        named = probability if row.gender == "female" else 1 - probability
        assert row.gender_probability == pytest.approx(named, abs=1e-4)
        assert row.gender_probability >= 0.5


def test_files_that_cannot_be_read_say_why_and_nothing_else(trained, folder) -> None:
    gone, long = folder / "gone.jpg", folder / ("x" * 300)
    rows = Predictor(trained, device="cpu")([folder, gone, long])
    reasons = {Path(row.file).name: row.error for row in rows if row.error is not None}
    assert reasons.keys() == {
        "face3b_half.jpg", "face5b_empty.jpg", "face5c_text.png", "face9_flat.png",
        gone.name, long.name,
    }  # fmt: skip
    assert reasons["face3b_half.jpg"].startswith("damaged image")
    assert reasons["face5c_text.png"] == "not an image"
    assert reasons["face9_flat.png"].startswith("too small")
    assert reasons["gone.jpg"] == "no such file"
    assert "\n" not in "".join(reasons.values())
    for row in rows:
        if row.error is not None:
            assert row == FacePrediction(row.file, error=row.error)


def test_intervals_are_those_of_the_model_file(trained, folder) -> None:
    (row,) = Predictor(trained, device="cpu")(folder / "face0.png")
    assert (row.age_low, row.age_high) == apply_intervals(trained.interval, row.age)
    without = TrainedModel(trained.model, trained.config)
    (row,) = Predictor(without, device="cpu")(str(folder / "face0.png"))
    assert row.age is not None
    assert (row.age_low, row.age_high) == (None, None)


def test_flip_is_the_mean_over_the_face_and_its_mirror_image(trained, folder, tmp_path) -> None:
    image = Image.open(folder / "face1.png")
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirror.png")
    files = [folder / "face1.png", tmp_path / "mirror.png"]
    ages, _ = expected(trained, files)
    flipped = Predictor(trained, device="cpu", flip=True)(files)
    assert abs(ages[0] - ages[1]) > 0.01
    np.testing.assert_allclose([row.age for row in flipped], ages.mean(), atol=0.01)


@pytest.mark.parametrize("flip", [True, False])
def test_a_model_looks_as_it_was_evaluated_unless_told_otherwise(trained, tmp_path, flip) -> None:
    path = tmp_path / "model.pt"
    save_model(path, dataclasses.replace(trained, about={"flip": flip}))
    assert Predictor.load(path, device="cpu").flip is flip
    assert Predictor.load(path, device="cpu", flip=not flip).flip is not flip
    assert Predictor(trained, device="cpu").flip is False  # a file from before it was noted


def save_kinds(folder: Path) -> dict[str, Path]:
    """Save one upright picture in every way that means the same, exactly or nearly."""
    image = picture(4)
    paths = {name: folder / f"{name}.png" for name in ("rgb", "rgba", "turned", "palette")}
    image.save(paths["rgb"])
    image.convert("RGBA").save(paths["rgba"])
    exif = Image.Exif()
    exif[0x0112] = 3  # held upside down
    image.rotate(180).save(paths["turned"], exif=exif)
    image.quantize(256).save(paths["palette"])
    paths["gif"], paths["cmyk"] = folder / "animated.gif", folder / "cmyk.jpg"
    image.quantize(256).save(paths["gif"], save_all=True, append_images=[picture(5)])
    image.convert("CMYK").save(paths["cmyk"], quality=100, subsampling=0)
    paths["grey"], paths["grey16"] = folder / "grey.png", folder / "grey16.png"
    grey = image.convert("L")
    grey.save(paths["grey"])
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(paths["grey16"])
    return paths


def test_every_kind_of_image_is_read_as_it_is_meant(tmp_path) -> None:
    pixels = {kind: decode_face(p.read_bytes(), SIZE) for kind, p in save_kinds(tmp_path).items()}
    for kind, same in {"rgba": "rgb", "turned": "rgb", "grey16": "grey"}.items():
        np.testing.assert_array_equal(pixels[kind], pixels[same], kind)
    for kind in ("palette", "gif", "cmyk"):  # nearly the same colours, and the first frame
        assert abs(pixels[kind].astype(int) - pixels["rgb"]).mean() < 12, kind


def strip_names(rows: list[FacePrediction]) -> list[FacePrediction]:
    return [dataclasses.replace(row, file="") for row in rows]


def test_images_in_memory_give_the_numbers_of_their_files(trained, tmp_path) -> None:
    predictor = Predictor(trained, device="cpu", batch_size=3)
    paths = list(save_kinds(tmp_path).values())
    images = [Image.open(path) for path in paths]
    of_files, of_images = predictor(paths), predictor(images)
    assert strip_names(of_images) == strip_names(of_files)
    assert [row.file for row in of_images[:2]] == ["image[0]", "image[1]"]
    assert images[2].getexif()[0x0112] == 3, "the caller's image stays as it was"
    array = np.asarray(Image.open(paths[0]))
    alone = strip_names(predictor(paths[0]))  # a batch of another size may round differently
    assert strip_names(predictor(images[0])) == alone
    assert strip_names(predictor(array)) == strip_names(predictor(array.copy("F"))) == alone
    assert strip_names(predictor(np.stack([array]))) == alone


def test_files_images_and_arrays_may_be_mixed(trained, folder) -> None:
    files = [folder / "face0.png", folder / "face1.png", folder / "face2.png"]
    opened, array = Image.open(files[1]), np.asarray(Image.open(files[2]))
    flat = Image.new("RGB", (40, 8))
    predictor = Predictor(trained, device="cpu")
    rows = predictor(iter([str(files[0]), opened, array, flat]))
    assert [row.file for row in rows] == [str(files[0]), "image[1]", "image[2]", "image[3]"]
    assert rows[3] == FacePrediction("image[3]", error=rows[3].error)
    assert str(rows[3].error).startswith("too small")
    assert strip_names(rows[:3]) == strip_names(predictor(files))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (np.zeros((40, 40, 3)), r"the input is an array of float64, shape \(40, 40, 3\)"),
        (np.zeros((40, 40), np.uint8), r"the input is an array of uint8, shape \(40, 40\)"),
        ([np.zeros((40, 40, 4), np.uint8)], r"input 0 is an array of uint8, shape \(40, 40, 4\)"),
        ([np.zeros((0, 40, 3), np.uint8)], "input 0 is an array"),
        (["face.png", torch.zeros(3, 40, 40)], "input 1 is a Tensor"),
        (None, "the input is a NoneType"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(trained, wrong, told: str) -> None:
    with pytest.raises(UserError, match=told + ".*allowed: .*uint8, shape") as caught:
        Predictor(trained, device="cpu")(wrong)
    assert "\n" not in str(caught.value)


def test_inputs_are_files_folders_and_patterns(folder, tmp_path) -> None:
    (folder / "deeper").mkdir()
    picture(1).save(folder / "deeper" / "inner.png")
    odd = tmp_path / "face[1].png"
    picture(1).save(odd)
    names = [path.name for path in find_images([folder / "face1.png", odd, folder / "deeper"])]
    assert names == ["face1.png", "face[1].png", "inner.png"]
    assert len(find_images([folder])) == 12
    assert [path.name for path in find_images([f"{folder}/face[01].*"])] == [
        "face0.png", "face1.png",
    ]  # fmt: skip
    assert len(find_images([f"{tmp_path}/**/*.png"])) == 11


@pytest.mark.parametrize("name", ["nothing", "faces/*.webp"])
def test_a_folder_or_pattern_without_images_is_refused_by_name(folder, name: str) -> None:
    (folder.parent / "nothing").mkdir()
    with pytest.raises(UserError, match="no images in"):
        find_images([folder / "face0.png", folder.parent / name])


def test_a_reader_that_has_enough_stops_the_decoding(
    trained, folder, monkeypatch, two_threads
) -> None:
    decode = mock.Mock(side_effect=decode_face)
    monkeypatch.setattr("utkface.predictor.decode_face", decode)
    predictor = Predictor(trained, device="cpu", batch_size=1)
    batches = predictor.in_batches([folder / "face0.png"] * 500)
    next(batches)
    assert torch.get_num_threads() == 1  # each core has batches of its own
    batches.close()
    assert decode.call_count < 20
    assert torch.get_num_threads() == 2


def test_readers_that_take_turns_leave_the_threads_as_they_were(
    trained, folder, two_threads
) -> None:
    predictor = Predictor(trained, device="cpu", batch_size=1)
    readers = [predictor.in_batches([folder / "face0.png"] * 3) for _ in range(2)]
    for one, other in zip(*readers, strict=True):
        assert [row.age for row in one] == [row.age for row in other]
    assert torch.get_num_threads() == 2


def test_few_pictures_are_shared_by_all_cores(trained, folder, monkeypatch, two_threads) -> None:
    workers, both = set(), threading.Event()

    def decode(data, size):
        workers.add(threading.get_ident())
        if len(workers) == 2:
            both.set()
        both.wait(30)
        return decode_face(data, size)

    monkeypatch.setattr("utkface.predictor.decode_face", decode)
    rows = Predictor(trained, device="cpu")([folder / "face0.png"] * 6)
    assert len(workers) == 2
    assert np.ptp([row.age for row in rows]) < 1e-3


def test_a_model_whose_answers_are_no_numbers_gives_reasons(trained, folder) -> None:
    model = build_model(trained.config, "none")
    torch.nn.init.constant_(model.age_head.bias, float("nan"))
    (row,) = Predictor(TrainedModel(model, trained.config), device="cpu")(folder / "face0.png")
    assert row == FacePrediction(row.file, error="the model's answer is not a number")


def test_options_are_checked(trained, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name, value in [("device", "cuda"), ("device", "tpu"), ("batch_size", 0)]:
        with pytest.raises(UserError, match=f"{name}={value!r}"):
            Predictor(trained, **{name: value})
