"""What must hold on a CUDA card; skipped where there is none."""

from typing import Any

import numpy as np
import pytest
import torch

from utkface.batches import Teacher, TrainingData
from utkface.config import TrainConfig
from utkface.training import Training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here"),
]

NUM, SIZE, NUM_VAL = 640, 64, 128
#: Nothing is drawn at random.
STILL: dict[str, Any] = dict.fromkeys(("flip_p", "rotation_degrees", "translate", "scale"), 0.0)
STILL |= dict.fromkeys(("jitter_p", "grey_p", "erasing_p", "dropout"), 0.0)


def noise(teacher: Teacher | None = None) -> TrainingData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM, SIZE, SIZE, 3), dtype=np.uint8)
    labels = [rng.integers(0, top, NUM) for top in (100, 2, 5)]
    rows = np.arange(NUM)
    return TrainingData(images, *labels, rows[NUM_VAL:], rows[:NUM_VAL], teacher)


def training(device: str = "cuda", *, graphs: bool = True, **values: Any) -> Training:
    config = TrainConfig.from_dict({"image_size": SIZE, "batch_size": 64, "epochs": 4, **values})
    made = Training(config, noise(), weights="none", device=device)
    if not graphs:
        made._gradients.NUM_WARM_UP = 10**9
    return made


def step(made: Training) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one step; return the losses before it and all weights after it."""
    made.model.train()
    rows = torch.arange(64)
    losses = made._train_step(rows.numpy(), rows.to(made.device), (rows < 0).to(made.device))
    weights = torch.cat([p.detach().flatten() for p in made.model.parameters()])
    return losses.cpu(), weights.cpu()


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_a_step_is_that_of_the_cpu() -> None:
    (losses, weights), (theirs, their_weights) = (
        step(training(device, amp="off", **STILL)) for device in ("cuda", "cpu")
    )
    assert apart(losses, theirs) < 1e-4
    assert apart(weights, their_weights) < 2e-3


@pytest.mark.parametrize("values", [{}, {"oversample_by": "age", "noise_std": 0.02, "blur_p": 0.3}])
def test_graphs_change_nothing(values: dict[str, Any]) -> None:
    with_graphs, without = training(**values), training(graphs=False, **values)
    for _ in range(2):
        ours, theirs = with_graphs.run_epoch(), without.run_epoch()
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=2e-2)
    assert with_graphs._gradients._recordings
    assert not without._gradients._recordings


def test_a_graph_draws_anew_each_time() -> None:
    made = training(max_lr=1e-7, flip_p=0.5)
    made.model.train()
    rows = torch.arange(64)
    given = rows.numpy(), rows.to("cuda"), (rows < 0).to("cuda")
    with torch.cuda.stream(made._stream):  # nothing is recorded on the default one
        losses = [float(made._train_step(*given)[0]) for _ in range(8)]
    assert len(set(losses[3:])) == 5


def test_after_a_recording_that_broke_off_the_process_trains_on() -> None:
    made = training()
    made._gradients.NUM_WARM_UP = 0
    with torch.cuda.stream(made._stream), pytest.raises(RuntimeError):
        made._gradients(lambda images: images.sum() * images.max().item(), torch.ones(3).cuda())
    del made
    again = training()
    expected = training(graphs=False).run_epoch()["train_loss"]
    assert again.run_epoch()["train_loss"] == pytest.approx(expected, rel=2e-2)
    assert again._gradients._recordings


def test_a_run_goes_on_where_it_stopped() -> None:
    whole, first, second = (training() for _ in range(3))
    whole.run_epoch()
    first.run_epoch()
    second.load_state_dict(first.state_dict())
    expected = whole.run_epoch()["train_loss"]
    assert second.run_epoch()["train_loss"] == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("amp", ["auto", "bf16", "fp16"])
def test_half_precision_learns_as_much(amp: str) -> None:
    ends = []
    for precision in (amp, "off"):
        made = training(amp=precision, clip_norm=1.0)
        ends.append([made.run_epoch()["train_loss"] for _ in range(4)])
    assert ends[0][-1] == pytest.approx(ends[1][-1], rel=0.05)
    assert ends[0][-1] < ends[0][0]


def test_a_backbone_that_was_frozen_thaws() -> None:
    made = training(freeze_epochs=1)
    before = made.model.features[0][0].weight.detach().clone()
    made.run_epoch()
    assert torch.equal(made.model.features[0][0].weight, before)
    made.run_epoch()
    assert not torch.equal(made.model.features[0][0].weight, before)


def test_too_little_memory_is_an_error_that_can_be_survived() -> None:
    free, _ = torch.cuda.mem_get_info()
    hog = torch.empty(free - 200 * 2**20, dtype=torch.uint8, device="cuda")
    with pytest.raises(torch.OutOfMemoryError):
        training(batch_size=512, backbone="resnet50").run_epoch()
    del hog
    torch.cuda.empty_cache()
    assert np.isfinite(training().run_epoch()["train_loss"])


def test_images_that_do_not_fit_stay_in_main_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = training().run_epoch()["train_loss"]
    monkeypatch.setattr("utkface.batches.ImageStore.MAX_GPU_SHARE", 0.0)
    made = training()
    assert made.images.resident is None
    assert made.run_epoch()["train_loss"] == pytest.approx(expected, rel=2e-2)


def test_a_teacher_is_learned_from() -> None:
    ages = np.zeros((NUM, 117), np.float32)
    ages[:, 40] = 1
    data = noise(Teacher(ages, np.ones(NUM, np.float32)))
    config = TrainConfig(
        image_size=SIZE, batch_size=64, epochs=6, teacher_weight=1.0, max_lr=1e-2, **STILL
    )
    made = Training(config, data, weights="none", device="cuda")
    for _ in range(6):
        made.run_epoch()
    said = made.predict(data.val)
    assert said.gender_probability.mean() > 0.8
    assert abs(said.age_years - 40).mean() < 12
