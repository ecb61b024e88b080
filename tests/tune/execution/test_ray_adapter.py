"""Trials that fail inside a real Ray: the search goes on, and each ending is on record."""

import os
import time
from types import SimpleNamespace

import pytest
import ray
import torch
from ray import tune as ray_tune

from tune import cluster
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import StudyScheduler, describe_machine_failure, run_trials
from tune.execution.session import MAX_FAILURES_AT_START, SearchSession
from tune.execution.trainable import FaceTrainable
from tune.options.search import SearchOptions
from tune.records.run_folder import SearchFolder
from tune.search.prepare import prepare
from tune.search.run import search_job
from tune.study.study import SearchStudy

NUM_TRIALS = 4


@pytest.fixture
def search(tmp_path):
    """Run a small search with another trainable; return its session afterwards."""

    def search_(trainable):
        options = SearchOptions(
            space="quick", data=["demo"], weights="none", max_epochs=2, image_size=32,
            fraction=0.3, num_trials=NUM_TRIALS, scheduler="none",
        )  # fmt: skip
        prepared = prepare(options)
        folder = SearchFolder.create(tmp_path, "fault")
        checkpoints = CheckpointStore(str(folder.path / "checkpoints"))
        study = SearchStudy(folder.journal, prepared.space, options.fixed, scheduler="none")
        session = SearchSession(study, options.num_trials, [], checkpoints)
        cluster.connect(None)
        try:
            resources = cluster.plan_resources(None, None, None)
            job = search_job(prepared, checkpoints, resources)
            run_trials(
                ray_tune.with_parameters(trainable, job=job), folder.path, session, resources
            )
        finally:
            ray.shutdown()
        return session

    return search_


# The trainables are made inside the tests: a worker cannot import this file, so they travel whole.


@pytest.mark.slow
def test_the_last_trial_s_failure_is_made_good_after_ray_was_told_that_there_is_no_more(search):
    class Raising(FaceTrainable):
        def step(self):
            if self._number == NUM_TRIALS - 1:
                time.sleep(3)  # until the others have ended, and Ray has asked for more
                del self._training.optimiser
            return super().step()

    session = search(Raising)
    records = session.study.records()
    assert [record.state for record in records] == ["COMPLETE"] * 3 + ["FAIL", "COMPLETE"]
    assert "AttributeError" in records[3].reason
    assert not session.hopeless


def test_an_idle_worker_is_for_the_newest_trial_as_older_ones_wait_for_their_own():
    states = ["TERMINATED", "PENDING", "RUNNING", "PENDING", "RUNNING"]
    trials = [SimpleNamespace(status=state, PENDING="PENDING") for state in states]
    choose = StudyScheduler(None).choose_trial_to_run
    assert choose(SimpleNamespace(get_trials=lambda: trials)) is trials[3]
    assert choose(SimpleNamespace(get_trials=lambda: trials[:1])) is None


@pytest.mark.slow
def test_a_worker_that_starts_slowly_is_not_given_up_for_one_that_is_idle(search, tmp_path):
    class Slow(FaceTrainable):
        def setup(self, config, job):
            if config["number"] == 1:
                time.sleep(8)  # meanwhile the other worker has ended its first trial
            super().setup(config, job)

        def step(self):
            with (tmp_path / "steps").open("a") as steps:
                steps.write(str(self._number))
            return super().step()

    records = search(Slow).study.records()
    assert [record.state for record in records] == ["COMPLETE"] * NUM_TRIALS
    assert (tmp_path / "steps").read_text().startswith("0022")  # not 0011, on the idle worker


@pytest.mark.slow
def test_curves_of_a_search_that_runs_are_there_for_tensorboard(search, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "1")  # 30 otherwise

    class Watched(FaceTrainable):
        def step(self):
            for _ in range(200):
                if self._number < NUM_TRIALS - 1 or list(tmp_path.glob("*/ray/*_0000/events.*")):
                    return super().step()
                time.sleep(0.1)
            raise FileNotFoundError("no event file of trial 0")

    records = search(Watched).study.records()
    assert [record.state for record in records] == ["COMPLETE"] * NUM_TRIALS


@pytest.mark.slow
def test_a_worker_that_dies_once_is_replaced_and_its_trial_goes_on(search, tmp_path):
    class Mortal(FaceTrainable):
        def step(self):
            result = super().step()
            marker = tmp_path / "died"
            if self._number == 1 and not marker.exists():
                marker.touch()
                os._exit(1)  # after the checkpoint, before the report
            return result

    session = search(Mortal)
    records = session.study.records()
    assert (tmp_path / "died").exists()
    assert [record.state for record in records] == ["COMPLETE"] * NUM_TRIALS
    assert [epoch["epoch"] for epoch in records[1].epochs] == [1, 2]


@pytest.mark.slow
def test_a_trial_goes_on_elsewhere_whose_worker_dies_as_it_is_made_ready(search, tmp_path):
    class Mortal(FaceTrainable):
        def reset_config(self, new_config):
            marker = tmp_path / f"{new_config['number']}"
            if len(list(tmp_path.glob("[0-9]"))) < 2 and not marker.exists():
                marker.touch()
                os._exit(1)
            return super().reset_config(new_config)

    records = search(Mortal).study.records()
    assert len(list(tmp_path.glob("[0-9]"))) == 2
    assert [record.state for record in records] == ["COMPLETE"] * NUM_TRIALS


@pytest.mark.slow
def test_a_search_whose_first_trials_all_fail_ends_with_the_first_error(search):
    class Broken(FaceTrainable):
        def _begin(self, config):
            super()._begin(config)
            self._failure = ValueError(f"trial {config['number']} cannot begin")

    session = search(Broken)
    records = session.study.records()
    assert session.hopeless
    assert "cannot begin" in session.first_failure
    failed = [record for record in records if record.state == "FAIL"]
    assert len(failed) >= MAX_FAILURES_AT_START


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "fewer trials per GPU (--gpus-per-trial)"),
        (ray.exceptions.OutOfMemoryError("killed"), "fewer trials at a time (--concurrency)"),
    ],
)
def test_whichever_memory_ran_out_is_what_the_hint_is_about(error, hint):
    assert hint in describe_machine_failure(error)


@pytest.mark.slow
def test_who_runs_out_of_memory_goes_on_in_a_fresh_worker_or_fails_with_a_hint(search, tmp_path):
    starved = tmp_path / "starved"

    class Hungry(FaceTrainable):
        def step(self):
            if self._number == 1 and not starved.exists():
                starved.touch()
                self._training.run_epoch = self._run_out_of_memory
            if self._number == 2:  # in each worker
                self._training.run_epoch = self._run_out_of_memory
            return super().step()

        def _run_out_of_memory(self):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    records = search(Hungry).study.records()
    assert starved.exists()
    assert [record.state for record in records] == [*["COMPLETE"] * 2, "FAIL", *["COMPLETE"] * 2]
    reason = records[2].reason
    assert "failed 3 times" in reason
    assert "Tried to allocate 2.00 GiB" in reason
    assert "fewer trials per GPU (--gpus-per-trial) or a smaller batch_size" in reason
