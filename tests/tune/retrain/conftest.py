"""Demo faces, a teacher of them, and a plan to train with either."""

import numpy as np
import pytest

from tune.options.retrain import RetrainOptions
from tune.records.out_of_fold import OUT_OF_FOLD, OutOfFold
from tune.records.retrain import Finalist
from tune.records.run_folder import RetrainFolder
from tune.retrain.plan import Plan, assign_folds, training_rows
from utkface.config import TrainConfig
from utkface.data import load_faces, make_split
from utkface.model import NUM_AGES

SIZE = 32
TINY = TrainConfig(
    image_size=SIZE, epochs=2, batch_size=32, ema_decay=0.0, max_lr=0.01, pretrained=False
)


@pytest.fixture(scope="session")
def faces():
    """The demo faces."""
    return load_faces("demo", SIZE)


@pytest.fixture(scope="session")
def splits(faces):
    """Both splits of them."""
    return {protocol: make_split(faces.table, protocol) for protocol in ("grouped", "random")}


@pytest.fixture
def make_plan(faces, splits, tmp_path):
    """Return a plan for one configuration, with some options."""

    def make(config=TINY, **options):
        options = RetrainOptions(results=tmp_path, weights="none", **options)
        chosen = {protocol: splits[protocol] for protocol in options.splits}
        return Plan(options, [Finalist("mine", config)], faces, chosen)

    return make


@pytest.fixture
def write_teacher(faces, splits, tmp_path, retrain_record):
    """Write the folder of a teacher that knows every age and calls everybody female.

    ``change`` gets the table of its predictions, and may return another.
    """

    def write(name, change=lambda table: table, *, protocol="grouped", part="test", older=0):
        train, _ = training_rows(splits[protocol], part)
        table = faces.table.iloc[train][["file", "group", "age", "gender"]].reset_index(drop=True)
        table = table.assign(
            protocol=protocol,
            part=part,
            split_hash=splits[protocol].hash,
            fold=assign_folds(faces.table, train, 3),
            num_models=1,
            age_years=table["age"].astype(np.float32),
            gender_probability=np.ones(len(train), dtype=np.float32),
        )
        table = change(table)
        distribution = np.eye(NUM_AGES, dtype=np.float32)[table["age"] + older]
        folder = RetrainFolder(tmp_path / name)
        folder.path.mkdir(exist_ok=True)
        data = {**dict(retrain_record().data), "fingerprint": faces.fingerprint}
        folder.write_record(retrain_record(name=name, data=data, options={"folds": 3}))
        OutOfFold(table, distribution).write(folder.path / OUT_OF_FOLD)
        return folder

    return write
