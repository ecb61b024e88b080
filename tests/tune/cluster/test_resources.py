import pytest
import ray

from tune import cluster
from tune.cluster import resources as planning
from utkface.errors import UserError


@pytest.fixture
def machine(monkeypatch):
    def has(trials_per_gpu=4, **resources):
        monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
        monkeypatch.setattr(planning, "_trials_per_gpu", lambda: trials_per_gpu)

    return has


def plan(cpus=None, gpus=None, concurrency=None):
    resources = cluster.plan_resources(cpus, gpus, concurrency)
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
    machine(CPU=8.0, GPU=1.0, trials_per_gpu=1)
    assert plan() == (8, 1, 1)


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
