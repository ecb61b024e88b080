"""Ray Tune runs the trials that a session hands out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
from ray import tune as ray_tune

from tune.checkpoints import CheckpointStore
from tune.cluster import Resources, Weights, staged_here
from tune.disk import told_in_one_line
from tune.run_folder import RunFolder
from tune.searcher import MAX_RETRIES, SearchSession, SessionStopper, StudyScheduler, StudySearcher
from tune.trainable import FaceTrainable, TrialJob
from utkface.data import Faces


def run_trials(
    job: TrialJob,
    folder: RunFolder,
    session: SearchSession,
    resources: Resources,
    name: str = "ray",
) -> None:
    """Run trials on Ray until the session has no more of them or is asked to stop.

    ``name`` is the folder within the run's that Ray writes to.
    """
    trainable = ray_tune.with_parameters(FaceTrainable, job=job)
    # The dashboard's Actors page shows the class by this name, not by that of Ray's wrapper.
    trainable.__qualname__ = FaceTrainable.__qualname__
    with told_in_one_line(folder.path), staged_here():
        # Not a Tuner: on a cluster joined with ray:// that would take the session there.
        ray_tune.run(
            trainable,
            _remote=False,
            name=name,
            storage_path=str(folder.path),
            resources_per_trial=resources.per_trial,
            search_alg=StudySearcher(session),
            scheduler=StudyScheduler(session),
            stop=SessionStopper(session),
            num_samples=-1,  # the searcher says when it is finished
            max_concurrent_trials=resources.concurrency,
            reuse_actors=True,
            max_failures=MAX_RETRIES,
            raise_on_failed_trial=False,
            checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),  # see trainable
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
            verbose=0,
        )


def _trial_name(trial: Any) -> str:
    return f"trial_{trial.config['number']:04d}"


def trial_job(
    faces: Faces,
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    weights: Weights,
    checkpoints: CheckpointStore,
    resources: Resources,
    images_ref: Sequence[ray.ObjectRef] = (),
) -> TrialJob:
    """Return what all trials share; ``rows`` and ``images_ref`` as in `TrialJob`."""
    return TrialJob(
        images_path=faces.path,
        images_shape=faces.images.shape,
        images_ref=list(images_ref),
        age=faces.table["age"].to_numpy(),
        gender=faces.table["gender"].to_numpy(),
        race=faces.table["race"].to_numpy(),
        rows=rows,
        weights=weights,
        checkpoints=checkpoints,
        num_threads=max(1, int(resources.cpus_per_trial)),
        use_gpu=resources.gpus_per_trial > 0,
    )
