"""Checkpoints: what goes in comes out, and nothing broken comes in."""

import pytest
import torch

from utkface import checkpoint
from utkface.errors import UserError

STATE = {
    "epoch": 3,
    "config": {"backbone": "mobilenet_v3_small", "max_lr": 0.003, "pretrained": True},
    "model": {"weight": torch.arange(6.0).reshape(2, 3)},
    "nothing": None,
}


def test_a_state_survives_the_file_and_no_temporary_file_does(tmp_path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save_checkpoint(path, STATE)
    state = checkpoint.load_checkpoint(path)
    assert torch.equal(state["model"].pop("weight"), STATE["model"]["weight"])
    assert state == {**STATE, "model": {}}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save_checkpoint(path, STATE)
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save_checkpoint(path, {"epoch": 4, "not data": lambda: None})
    assert checkpoint.load_checkpoint(path)["epoch"] == 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name_in_one_line(tmp_path, share: float) -> None:
    path = tmp_path / "half.pt"
    data = checkpoint.dump(STATE)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"half\.pt is damaged") as caught:
        checkpoint.load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path) -> None:
    (tmp_path / "face.pt").write_bytes(b"\xff\xd8\xff\xe0 a photograph")
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.load_checkpoint(tmp_path / "face.pt")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="no checkpoint of this project"):
        checkpoint.load_checkpoint(tmp_path / "weights.pt")
    torch.save(torch.zeros(2), tmp_path / "tensor.pt")
    with pytest.raises(UserError, match="no checkpoint of this project"):
        checkpoint.load_checkpoint(tmp_path / "tensor.pt")


def test_code_in_a_file_is_not_run(tmp_path) -> None:
    class Malice:
        def __reduce__(self) -> tuple:
            return (tmp_path.joinpath("ran").mkdir, ())

    torch.save({"epoch": Malice()}, tmp_path / "malice.pt")
    with pytest.raises(UserError):
        checkpoint.load_checkpoint(tmp_path / "malice.pt")
    assert not (tmp_path / "ran").exists()


def test_another_version_is_refused_with_both_numbers(monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 99)
    data = checkpoint.dump(STATE)
    monkeypatch.undo()
    with pytest.raises(UserError, match="version 99, this program reads 1"):
        checkpoint.parse(data, "newer.pt")


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"cannot read the checkpoint .*gone\.pt"):
        checkpoint.load_checkpoint(tmp_path / "gone.pt")
