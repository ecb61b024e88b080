"""How long training takes on this machine, from a few steps of it."""

import numpy as np
import torch

from utkface.config import TrainConfig
from utkface.data import Faces
from utkface.io import dump_checkpoint
from utkface.optim import NUM_BATCHNORM_FACES
from utkface.training import Training, TrainingData

#: Steps of an epoch that is timed, after one that warms up, and a share of them of validation.
_TIMED_STEPS = 4


def time_epoch(
    faces: Faces, rows: tuple[np.ndarray, np.ndarray], config: TrainConfig
) -> tuple[float, int]:
    """Return the seconds of an epoch on one core, at full image size, and a checkpoint's bytes.

    rows: of training and validation, (N,) and (M,). A few steps are trained, once to warm up and
    once on the clock.
    """
    train, val = rows
    num_train = min(_TIMED_STEPS * config.batch_size, len(train))
    num_val = num_train * len(val) // len(train)
    num_val = max(1, num_val) if len(val) else 0
    age, gender, race = (faces.table[name].to_numpy() for name in ("age", "gender", "race"))
    timed = (np.asarray(train[:num_train]), np.asarray(val[:num_val]))
    data = TrainingData(faces.images, age, gender, race, *timed)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        training = Training(
            config.replace(freeze_epochs=0, initial_image_size=0), data, weights="none"
        )
        share = NUM_BATCHNORM_FACES * num_train // len(train)  # as many as of a whole epoch
        training.batchnorm_rows = training.batchnorm_rows[: max(2, share)]
        training.run_epoch()
        metrics = training.run_epoch()
    finally:
        torch.set_num_threads(num_threads)
    epoch_s = metrics["time_s"] * len(train) / num_train
    return epoch_s, len(dump_checkpoint(training.state_dict()))
