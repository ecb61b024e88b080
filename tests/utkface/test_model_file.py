import numpy as np
import pytest
import torch

from utkface.checkpoint import dump, load_checkpoint, save_checkpoint
from utkface.config import TrainConfig
from utkface.errors import UserError
from utkface.model import build_model
from utkface.model_file import TrainedModel, averaged_model, load_model, save_model

CONFIG = TrainConfig(image_size=32, pretrained=False)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    torch.manual_seed(0)
    interval = {"level": 0.9, "low_years": [-1.0], "high_years": [2.0]}
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
    assert trained.interval["high_years"] == [2.0]
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
    (tmp_path / "odd.pt").write_bytes(dump(state))
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
