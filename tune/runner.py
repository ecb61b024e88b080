"""Ray Tune runs the trials that a session hands out."""

from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune as ray_tune

from tune.checkpoints import CheckpointStore
from tune.cluster import Resources
from tune.disk import told_in_one_line
from tune.run_folder import RunFolder
from tune.searcher import Session, SessionStopper, StudyScheduler, StudySearcher
from tune.trainable import FaceTrainable, TrialJob
from utkface.data import Faces


def run_trials(job: TrialJob, folder: RunFolder, session: Session, resources: Resources) -> None:
    """Run trials on Ray until the session has no more of them or is asked to stop."""
    trainable = ray_tune.with_resources(
        ray_tune.with_parameters(FaceTrainable, job=job),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    tune_config = ray_tune.TuneConfig(
        search_alg=StudySearcher(session),
        scheduler=StudyScheduler(session),
        num_samples=-1,  # the searcher says when it is finished
        max_concurrent_trials=resources.concurrency,
        reuse_actors=True,
        trial_name_creator=_trial_name,
        trial_dirname_creator=_trial_name,
    )
    run_config = ray_tune.RunConfig(
        name="ray",
        storage_path=str(folder.path),
        stop=SessionStopper(session),
        checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),  # see trainable
        failure_config=ray_tune.FailureConfig(max_failures=2),  # of workers and nodes
        verbose=0,
    )
    with told_in_one_line(folder.path):
        ray_tune.Tuner(trainable, tune_config=tune_config, run_config=run_config).fit()


def _trial_name(trial: Any) -> str:
    return f"trial_{trial.config['number']:04d}"


def trial_job(
    faces: Faces,
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    weights: str,
    checkpoints: CheckpointStore,
    resources: Resources,
) -> TrialJob:
    """Return what all trials share; ``rows`` and ``weights`` as in `TrialJob`."""
    several_nodes = sum(node["Alive"] for node in ray.nodes()) > 1
    return TrialJob(
        images_path=faces.path,
        images_shape=faces.images.shape,
        images_ref=[ray.put(faces.images)] if several_nodes else [],
        age=faces.table["age"].to_numpy(),
        gender=faces.table["gender"].to_numpy(),
        race=faces.table["race"].to_numpy(),
        rows=rows,
        weights=weights if weights in ("imagenet", "none") else str(Path(weights).resolve()),
        checkpoints=checkpoints,
        num_threads=max(1, int(resources.cpus_per_trial)),
        use_gpu=resources.gpus_per_trial > 0,
    )
