"""The network, and the file that holds a trained one."""

import urllib.error

import numpy as np
import pytest
import torch

from utkface.config import BACKBONES, TrainConfig
from utkface.intervals import fit_intervals
from utkface.io import UserError, dump_checkpoint, load_checkpoint, save_checkpoint
from utkface.model import (
    NUM_AGES,
    FaceOutputs,
    TrainedModel,
    averaged_model,
    build_model,
    expected_age,
    load_model,
    median_age,
    save_model,
)


def config(**values: object) -> TrainConfig:
    return TrainConfig.from_dict({"image_size": 32, **values})


@pytest.mark.parametrize("backbone", [*BACKBONES.split(), "timm:mobilenetv3_small_050"])
def test_every_backbone_gives_one_age_and_one_gender_per_face(backbone: str) -> None:
    if backbone.startswith("timm:"):
        pytest.importorskip("timm", reason="timm's backbones are an extra")
    model = build_model(config(backbone=backbone), "none").eval()
    outputs = model(torch.randn(3, 3, 32, 32))
    assert outputs.age_output.shape == (3, NUM_AGES)
    assert outputs.gender_logits.shape == (3, 2)
    assert model.ages(outputs).shape == model.gender_probability(outputs).shape == (3,)


@pytest.mark.parametrize("backbone", ["resnet18", "timm:mobilenetv3_small_050"])
def test_a_model_of_any_backbone_answers_from_its_file_as_before(tmp_path, backbone: str) -> None:
    if backbone.startswith("timm:"):
        pytest.importorskip("timm", reason="timm's backbones are an extra")
    model = build_model(config(backbone=backbone), "none").eval()
    save_model(tmp_path / "model.pt", TrainedModel(model, config(backbone=backbone)))
    read = load_model(tmp_path / "model.pt")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(read.model(images).age_output, model(images).age_output)


@pytest.mark.parametrize("age_loss", ["l1", "huber", "dldl"])
def test_an_untrained_head_without_evidence_predicts_about_the_mean_age(age_loss: str) -> None:
    model = build_model(config(age_loss=age_loss), "none").eval()
    outputs = model.heads(torch.zeros(1, model.age_head.in_features, 1, 1))
    assert model.ages(outputs).item() == pytest.approx(33, abs=3)


def test_the_expected_age_is_the_mean_of_the_distribution() -> None:
    logits = torch.full((2, NUM_AGES), -torch.inf)
    logits[0, [10, 30]] = 0.0  # half each
    logits[1, 116] = 5.0
    assert expected_age(logits).tolist() == pytest.approx([20.0, 116.0])


def test_the_median_age_has_half_of_the_distribution_on_either_side() -> None:
    logits = torch.full((4, NUM_AGES), -torch.inf)
    logits[0, 30] = 0.0  # all of it
    logits[1, [10, 11]] = 0.0  # half each, so between the two
    logits[2, [20, 21, 90]] = torch.tensor([0.4, 0.4, 0.2]).log()  # a mean of 34.4
    logits[3, [0, 60]] = torch.tensor([0.8, 0.2]).log()
    expected = [30.0, 10.5, 20.75, 0.125]
    assert median_age(logits).tolist() == pytest.approx(expected, abs=1e-4)
    assert torch.equal(median_age(1e4 * torch.eye(NUM_AGES)).round(), torch.arange(NUM_AGES) * 1.0)


def test_a_model_answers_with_the_estimate_that_its_configuration_names(tmp_path) -> None:
    logits = torch.randn(5, NUM_AGES)
    outputs = FaceOutputs(logits, torch.zeros(5, 2))
    for estimate, ages in (("mean", expected_age(logits)), ("median", median_age(logits))):
        asked = config(dldl_estimate=estimate)
        save_model(tmp_path / "model.pt", TrainedModel(build_model(asked, "none"), asked))
        assert torch.equal(load_model(tmp_path / "model.pt").model.ages(outputs), ages)


def test_predicted_ages_stay_within_the_ages_there_are() -> None:
    model = build_model(config(age_loss="l1"), "none")
    outputs = FaceOutputs(torch.tensor([[-5.0], [40.0], [200.0]]), torch.zeros(3, 2))
    assert model.ages(outputs).tolist() == [0.0, 40.0, 116.0]


def test_the_gender_probability_is_that_of_a_woman() -> None:
    model = build_model(config(), "none")
    outputs = FaceOutputs(torch.zeros(1, 1), torch.tensor([[0.0, 3.0]]))
    assert model.gender_probability(outputs).item() == pytest.approx(0.9526, abs=1e-4)


def test_the_heads_norm_counts_weights_and_no_biases() -> None:
    model = build_model(config(age_loss="l1"), "none")
    with torch.no_grad():
        model.age_head.weight.fill_(-0.5)
        model.gender_head.weight.fill_(0.25)
    assert model.heads_l1().item() == pytest.approx(576 * 0.5 + 2 * 576 * 0.25)


@pytest.mark.parametrize("prefix", ["", "features."])
def test_a_file_of_features_is_loaded_with_and_without_prefix(tmp_path, prefix: str) -> None:
    source = build_model(config(), "none").features.state_dict()
    state = {prefix + name: value for name, value in source.items()}
    if prefix:
        state["classifier.0.weight"] = torch.zeros(2, 2)
    path = tmp_path / "backbone.pth"
    torch.save(state, path)
    loaded = build_model(config(), path).features.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in source.items())


def test_without_pretraining_no_weights_are_read() -> None:
    build_model(config(pretrained=False), "no/such/file.pth")


def test_weights_of_another_backbone_are_refused_in_one_line(tmp_path) -> None:
    path = tmp_path / "large.pth"
    torch.save(
        build_model(config(backbone="mobilenet_v3_large"), "none").features.state_dict(), path
    )
    with pytest.raises(UserError, match=r"large\.pth do not fit.*mobilenet_v3_small") as caught:
        build_model(config(), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 half an archive"])
def test_a_file_that_is_no_weights_file_is_refused(tmp_path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.pth is not a readable weights file"):
        build_model(config(), path)


def test_a_file_of_something_else_and_a_missing_file_are_refused(tmp_path) -> None:
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="does not hold a dictionary of tensors"):
        build_model(config(), tmp_path / "other.pth")
    with pytest.raises(UserError, match="there is no weights file"):
        build_model(config(), tmp_path / "missing.pth")


def test_a_failed_download_says_what_to_do_instead(monkeypatch, tmp_path) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(UserError, match=r"--weights path/to/.*or --weights none"):
        build_model(config(), "imagenet")


CONFIG = TrainConfig(image_size=32, pretrained=False)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    torch.manual_seed(0)
    interval = fit_intervals([50.0], [49.0])
    save_model(path, TrainedModel(build_model(CONFIG, "none"), CONFIG, {"seed": 3}, interval))
    return path


def test_a_model_comes_back_as_it_was_ready_to_predict(path):
    trained = load_model(path)
    torch.manual_seed(0)
    expected = build_model(CONFIG, "none").state_dict()
    found = trained.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert (trained.config, trained.about["seed"]) == (CONFIG, 3)
    assert trained.interval == fit_intervals([50.0], [49.0])
    assert not trained.model.training


def test_the_averaged_weights_are_taken_where_there_are_any():
    model, average = build_model(CONFIG, "none"), build_model(CONFIG, "none")
    state = {"config": CONFIG.to_dict(), "model": model.state_dict()}
    for weights, expected in ((average.state_dict(), average), (None, model)):
        found = averaged_model({**state, "average": {"weights": weights}})
        assert torch.equal(found.age_head.weight, expected.age_head.weight)


def test_a_checkpoint_of_training_is_no_model(tmp_path):
    save_checkpoint(tmp_path / "trial.pt", {"config": CONFIG.to_dict(), "epoch": 2})
    with pytest.raises(UserError, match=r"trial\.pt is a checkpoint of unfinished training"):
        load_model(tmp_path / "trial.pt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config", {"backbone": "other"}),
        ("config", 3),
        ("model", {}),
        ("model", {"age_head.weight": torch.zeros(2)}),
        ("about", None),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_told_in_one_line(path, tmp_path, name, value):
    state = {**load_checkpoint(path), name: value}
    (tmp_path / "odd.pt").write_bytes(dump_checkpoint(state))
    with pytest.raises(UserError) as caught:
        load_model(tmp_path / "odd.pt")
    assert "\n" not in str(caught.value)


def test_whatever_bytes_are_damaged_it_is_one_clear_error_or_harmless(path, tmp_path):
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    damaged = tmp_path / "damaged.pt"
    complaints = []
    for _ in range(60):
        data = whole.copy()
        start = rng.integers(0, min(len(data), 4000))  # the pickle lies at the beginning
        data[start : start + 8] = rng.integers(0, 256, 8)
        damaged.write_bytes(data.tobytes())
        try:
            load_model(damaged)
        except UserError as error:
            complaints.append(str(error))
    assert len(complaints) > 30
    assert not any("\n" in complaint for complaint in complaints)
