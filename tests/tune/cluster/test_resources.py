import pytest
import ray

from tune import cluster
from tune.cluster import resources as planning
from tune.cluster.gpus import CONTEXT_BYTES, CardUse, largest, measure_cards, trials_per_card
from utkface.config import TrainConfig
from utkface.io import UserError

GIB = 2**30


@pytest.fixture
def machine(monkeypatch):
    return lambda **resources: monkeypatch.setattr(ray, "cluster_resources", lambda: resources)


def plan(cpus=None, gpus=None, concurrency=None, trials_per_gpu=4):
    resources = cluster.plan_resources(cpus, gpus, concurrency, lambda: trials_per_gpu)
    return resources.cpus_per_trial, resources.gpus_per_trial, resources.concurrency


def test_without_gpus_each_core_trains_a_trial(machine):
    machine(CPU=4.0)
    assert plan() == (1, 0, 4)
    assert plan(cpus=2) == (2, 0, 2)
    assert plan(concurrency=3) == (1, 0, 3)
    assert plan(concurrency=99) == (1, 0, 4)


def test_gpus_are_shared_and_their_trials_share_the_cores(machine):
    machine(CPU=16.0, GPU=2.0)
    assert plan() == (2, 0.25, 8)
    assert plan(gpus=1) == (8, 1, 2)
    assert plan(gpus=0) == (1, 0, 16)
    assert plan(gpus=0.1, cpus=1) == (1, 0.1, 16)
    machine(CPU=2.0, GPU=1.0)
    assert plan() == (1, 0.25, 2)
    machine(CPU=8.0, GPU=1.0)
    assert plan(trials_per_gpu=1) == (8, 1, 1)
    machine(CPU=12.0, GPU=1.0)
    assert plan(trials_per_gpu=3) == (4, 1 / 3, 3)


def test_a_card_is_measured_only_where_there_is_one_and_nobody_said_how_much_a_trial_gets(machine):
    def never():
        raise AssertionError("measured")

    machine(CPU=4.0)
    cluster.plan_resources(None, None, None, never)
    machine(CPU=4.0, GPU=1.0)
    cluster.plan_resources(None, 0.5, None, never)
    with pytest.raises(AssertionError, match="measured"):
        cluster.plan_resources(None, None, None, never)


def test_trials_may_wait_for_a_cluster_that_grows(machine, monkeypatch, tmp_path):
    machine(CPU=4.0, GPU=1.0)
    assert plan(concurrency=16) == (1, 0.25, 4)
    monkeypatch.setattr(planning, "AUTOSCALER_CONFIG", tmp_path / "config.yaml")
    (tmp_path / "config.yaml").touch()
    assert plan(concurrency=16) == (1, 0.25, 16)
    assert plan() == (1, 0.25, 4)


@pytest.mark.parametrize(
    ("card_gib", "trial_gib", "expected"),
    [(8, 3, 1), (12, 3, 2), (24, 5, 3), (80, 3, 4), (80, 60, 1), (8, 8, 1)],
)
def test_as_many_trials_share_a_card_as_were_measured_to_fit(card_gib, trial_gib, expected):
    use = CardUse(card_gib * GIB, trial_gib * GIB)
    assert trials_per_card([use]) == expected
    assert expected == 1 or expected * (use.trial_bytes + CONTEXT_BYTES) < use.card_bytes


def test_the_smallest_card_decides():
    assert trials_per_card([CardUse(80 * GIB, 3 * GIB), CardUse(12 * GIB, 3 * GIB)]) == 2


def test_the_largest_configuration_is_measured_with_everything_at_work():
    small = TrainConfig(batch_size=256)
    heavy = TrainConfig(batch_size=128, backbone="efficientnet_b0", freeze_epochs=2)
    found = largest([small, heavy.replace(batch_size=32), heavy])
    assert (found.backbone, found.batch_size, found.freeze_epochs) == ("efficientnet_b0", 128, 0)


@pytest.mark.slow
def test_a_gpu_that_pytorch_does_not_see_is_told():
    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with pytest.raises(UserError, match=r"PyTorch sees no CUDA device.*--gpus-per-trial"):
            measure_cards(TrainConfig(batch_size=2), (8, 64, 64, 3))
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"gpus": 1}, "--gpus-per-trial 1 asks for more than the 0 GPUs"),
        ({"cpus": 8}, "--cpus-per-trial 8 asks for more than the 4 CPUs"),
    ],
)
def test_more_than_there_is_is_refused(machine, wish, message):
    machine(CPU=4.0)
    with pytest.raises(UserError, match=message):
        plan(**wish)
