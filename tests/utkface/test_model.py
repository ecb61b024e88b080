"""The network, and the file that holds a trained one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from utkface.config import BACKBONES, TrainConfig
from utkface.intervals import fit_intervals
from utkface.io import UserError, load_checkpoint, save_checkpoint
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


@pytest.mark.parametrize("backbone", BACKBONES.split())
def test_every_backbone_gives_one_age_and_one_gender_per_face(backbone: str) -> None:
    model = build_model(config(backbone=backbone), "none").eval()
    outputs = model(torch.randn(3, 3, 32, 32))
    assert outputs.age_output.shape == (3, NUM_AGES)
    assert outputs.gender_logits.shape == (3, 2)
    assert model.ages(outputs).shape == model.gender_probability(outputs).shape == (3,)


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config", {"backbone": "other"}),
        ("config", {"backbone": "mobilenet_v3_large"}),
        ("config", 3),
        ("model", {}),
        ("model", {"age_head.weight": torch.zeros(2)}),
        ("about", None),
        ("interval", {}),
        ("interval", {"edges_years": [], "low_years": ["a"], "high_years": [1]}),
        ("interval", "text"),
        ("interval", [1, 2]),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_told_in_one_line(path, tmp_path, name, value):
    odd = tmp_path / "odd.pt"
    save_checkpoint(odd, {**load_checkpoint(path), name: value})
    with pytest.raises(UserError) as caught:
        load_model(odd)
    message = str(caught.value)
    assert "\n" not in message
    if name == "interval":
        assert f"{odd} holds age intervals that cannot be read" in message


class Malice:
    """What runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (self.mark.mkdir, ())


def test_no_file_that_is_no_model_is_read_or_run(path, tmp_path) -> None:
    kinds = ("truncated", "hostile", "version", "training", "weights", "picture")
    paths = {kind: tmp_path / f"{kind}.pt" for kind in kinds}
    paths["truncated"].write_bytes(path.read_bytes()[:1000])
    torch.save({"utkface_checkpoint": 1, "kind": Malice(tmp_path / "ran")}, paths["hostile"])
    torch.save({"utkface_checkpoint": 99, "kind": "face model"}, paths["version"])
    save_checkpoint(paths["training"], {"epoch": 3, "config": CONFIG.to_dict()})
    torch.save({"weight": torch.zeros(2)}, paths["weights"])
    paths["picture"].write_bytes(b"\x89PNG\r\n\x1a\n")
    messages = {}
    for kind, wrong in {**paths, "missing": tmp_path / "missing.pt", "folder": tmp_path}.items():
        with pytest.raises(UserError) as caught:
            load_model(wrong)
        messages[kind] = str(caught.value)
        assert str(wrong) in messages[kind], kind
        assert "\n" not in messages[kind], kind
    assert "is a checkpoint of unfinished training" in messages["training"]
    assert not (tmp_path / "ran").exists()


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
