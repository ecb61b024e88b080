"""What trials get of simulated machines: cores, cards and main memory."""

import sys
from types import SimpleNamespace

import pytest
import ray

from tune.cluster import Joined, join, nodes, plan_resources, resources
from tune.cluster.resources import (
    CONTEXT_BYTES,
    USABLE_SHARE,
    Usage,
    largest,
    measure_cards,
    private_bytes,
    trial_bytes,
    trials_per_card,
)
from utkface.config import TrainConfig
from utkface.io import UserError

GIB = 2**30
CONFIG = TrainConfig(batch_size=128, image_size=128)
NEED = trial_bytes(CONFIG)


@pytest.fixture
def machine(monkeypatch):
    """Let Ray have one node for each dictionary of resources."""

    def machine_(*nodes):
        found = [{"Alive": True, "Resources": {"memory": 64.0 * GIB, **node}} for node in nodes]
        monkeypatch.setattr(ray, "nodes", lambda: found)

    return machine_


@pytest.fixture
def cards(monkeypatch):
    """Let every card be measured so."""

    def cards_(*uses):
        monkeypatch.setattr(resources, "measure_cards", lambda config, images_shape: list(uses))

    return cards_


def plan(cpus=None, gpus=None, concurrency=None, **rest):
    found = plan_resources(cpus, gpus, concurrency, **rest)
    return found.cpus_per_trial, found.gpus_per_trial, found.concurrency


def test_without_gpus_each_core_trains_a_trial(machine):
    machine({"CPU": 4.0})
    assert plan() == (1, 0, 4)
    assert plan(cpus=2) == (2, 0, 2)
    assert plan(concurrency=3) == (1, 0, 3)
    assert plan(concurrency=99) == (1, 0, 4)
    with pytest.raises(UserError, match="--gpus-per-trial 1 asks for more than the 0 GPUs"):
        plan(gpus=1)


def test_a_trial_takes_its_cores_from_one_node(machine):
    machine({"CPU": 3.0}, {"CPU": 3.0}, {"memory": 1.0})  # a head without CPUs trains nothing
    assert plan(cpus=2) == (2, 0, 2)
    with pytest.raises(UserError, match="--cpus-per-trial 4 asks for more than the 3 CPUs that a"):
        plan(cpus=4)


def test_gpus_are_shared_and_their_trials_share_the_cores(machine, cards):
    cards(Usage(80 * GIB, 3 * GIB))
    machine({"CPU": 16.0, "GPU": 2.0})
    assert plan(config=CONFIG) == (2, 0.25, 8)
    assert plan(gpus=1) == (8, 1, 2)
    assert plan(gpus=0) == (1, 0, 16)
    assert plan(gpus=0.1, cpus=1) == (1, 0.1, 16)
    machine({"CPU": 2.0, "GPU": 1.0})
    assert plan(config=CONFIG) == (1, 0.25, 2)
    machine({"CPU": 8.0, "GPU": 1.0}, {"CPU": 64.0})
    assert plan(config=CONFIG) == (2, 0.25, 4)
    machine({"CPU": 16.0, "GPU": 2.0})  # a share of a card lies on one
    assert plan(gpus=0.4) == (4, 0.4, 4)
    assert plan(gpus=0.6) == (8, 0.6, 2)
    with pytest.raises(UserError, match=r"--gpus-per-trial 1\.5 is not possible"):
        plan(gpus=1.5)
    cards(Usage(80 * GIB, 60 * GIB))
    machine({"CPU": 8.0, "GPU": 1.0})
    assert plan(config=CONFIG) == (8, 1, 1)
    cards(Usage(24 * GIB, 5 * GIB))
    machine({"CPU": 12.0, "GPU": 1.0})
    assert plan(config=CONFIG) == (4, 1 / 3, 3)


def test_a_card_is_measured_only_where_there_is_one_and_nobody_said_how_much_a_trial_gets(machine):
    machine({"CPU": 4.0})
    plan(config=CONFIG)
    machine({"CPU": 4.0, "GPU": 1.0})
    plan(gpus=0.5, config=CONFIG)
    with pytest.raises(KeyError):  # on a node that is none
        plan(config=CONFIG)


def test_trials_may_wait_for_a_cluster_that_grows(machine, monkeypatch, tmp_path):
    machine({"CPU": 4.0})
    assert plan(concurrency=16) == (1, 0, 4)
    monkeypatch.setattr(nodes, "AUTOSCALER_CONFIG", tmp_path / "config.yaml")
    (tmp_path / "config.yaml").touch()
    assert plan(concurrency=16, config=CONFIG) == (1, 0, 16)
    assert plan() == (1, 0, 4)


def test_memory_lowers_the_number_of_trials_and_says_so(machine):
    machine({"CPU": 16.0, "memory": 4.5 * NEED})
    found = plan_resources(None, None, None, CONFIG)
    assert (found.concurrency, found.memory_per_trial) == (4, NEED)
    assert found.per_trial == {"cpu": 1, "memory": NEED}
    assert found.remark is not None
    assert "memory allows 4 trials at a time, not 16: a trial takes up to 1.9 GiB" in found.remark
    assert plan(config=CONFIG, concurrency=3) == (1, 0, 3)
    assert plan_resources(None, None, 3, CONFIG).remark is None


def test_memory_counts_on_each_node_by_itself_and_the_shared_faces_once(machine):
    room = {"CPU": 8.0, "memory": 1.9 * NEED / USABLE_SHARE}
    machine(room, room, room)
    assert plan(config=CONFIG) == (1, 0, 3)
    assert plan(config=CONFIG, shared_bytes=int(0.8 * NEED)) == (1, 0, 3)
    machine({"CPU": 8.0, "memory": 5.0 * NEED / USABLE_SHARE})
    assert plan(config=CONFIG) == (1, 0, 5)
    assert plan(config=CONFIG, shared_bytes=NEED) == (1, 0, 4)


def test_where_not_one_trial_fits_is_told_with_what_to_do(machine):
    machine({"CPU": 2.0, "memory": 1.0 * GIB})
    with pytest.raises(UserError) as caught:
        plan(config=CONFIG, shared_bytes=GIB)
    message = str(caught.value)
    assert "takes up to 1.9 GiB of main memory (mobilenet_v3_small, batch_size 128 at" in message
    assert "beside 1.0 GiB of faces, and 1.0 GiB are free" in message
    assert "smaller --image-size" in message
    assert plan(config=CONFIG.replace(image_size=32)) == (1, 0, 1)


def test_what_a_trial_on_a_card_takes_of_the_host_is_measured_with_it(machine, cards):
    cards(Usage(80 * GIB, 3 * GIB, 5 * GIB), Usage(80 * GIB, 3 * GIB, 6 * GIB))
    machine({"CPU": 32.0, "GPU": 8.0, "memory": 70.0 * GIB})
    found = plan_resources(None, None, None, CONFIG)
    assert (found.concurrency, found.memory_per_trial) == (10, 6 * GIB)
    assert plan_resources(None, 0.25, None, CONFIG).memory_per_trial == 0  # nobody knows


def test_more_pixels_images_and_layers_take_more_memory():
    assert trial_bytes(CONFIG) > trial_bytes(CONFIG.replace(batch_size=64))
    assert trial_bytes(CONFIG) > trial_bytes(CONFIG.replace(image_size=64))
    assert trial_bytes(CONFIG) < trial_bytes(CONFIG.replace(backbone="efficientnet_b0"))


def test_private_memory_is_what_a_process_wrote_to():
    before = private_bytes()
    block = bytearray(b"x") * (200 * 2**20)
    assert before == 0 or private_bytes() - before > 0.9 * len(block)


def test_a_search_plans_for_its_largest_trial_and_prints_why_there_are_few(
    machine, monkeypatch, tmp_path
):
    machine({"CPU": 16.0, "memory": 3.0 * NEED})
    monkeypatch.setattr(sys.modules["tune.cluster.join"], "connect", lambda address: None)
    options = SimpleNamespace(
        address=None, storage=None, results=tmp_path, cpus_per_trial=None, gpus_per_trial=None,
        concurrency=None,
    )  # fmt: skip
    images = SimpleNamespace(nbytes=0, shape=(4, 128, 128, 3))
    stack, said = SimpleNamespace(callback=lambda end: None), []
    configs = [CONFIG.replace(batch_size=32), CONFIG]
    joined = join(stack, options, SimpleNamespace(images=images), None, configs, said.append)
    assert isinstance(joined, Joined)
    assert joined.resources.concurrency == 2
    assert said == [joined.resources.remark]


@pytest.mark.parametrize(
    ("card_gib", "trial_gib", "expected"),
    [(8, 3, 1), (12, 3, 2), (24, 5, 3), (80, 3, 4), (80, 60, 1), (8, 8, 1)],
)
def test_as_many_trials_share_the_smallest_card_as_were_measured_to_fit(
    card_gib, trial_gib, expected
):
    use = Usage(card_gib * GIB, trial_gib * GIB)
    assert trials_per_card([use]) == trials_per_card([Usage(99 * GIB, GIB), use]) == expected
    assert expected == 1 or expected * (use.trial_bytes + CONTEXT_BYTES) < use.card_bytes


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
