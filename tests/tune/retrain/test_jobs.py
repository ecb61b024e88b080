import numpy as np
import pytest

from tune.retrain.jobs import Job, judged_rows, training_rows
from utkface.data import Split

SPLIT = Split(np.array([0, 3, 5]), np.array([1, 4]), np.array([2, 6]), "grouped", 0, "hash")


def test_before_the_test_part_a_model_trains_on_all_the_rest():
    train, val = training_rows(SPLIT, "test")
    assert train.tolist() == [0, 1, 3, 4, 5]
    assert val.tolist() == []
    assert judged_rows(SPLIT, "test").tolist() == [2, 6]


def test_before_validation_the_test_part_is_not_touched():
    train, val = training_rows(SPLIT, "validation")
    assert train.tolist() == [0, 3, 5]
    assert val.tolist() == [1, 4]
    assert judged_rows(SPLIT, "validation").tolist() == [1, 4]


@pytest.mark.parametrize("part", ["test", "validation"])
def test_no_face_is_both_trained_on_and_judged(part):
    assert not set(training_rows(SPLIT, part)[0]) & set(judged_rows(SPLIT, part))


def test_a_job_has_a_title_and_a_file_name_and_survives_its_record():
    job = Job(
        number=3, purpose="interval", label="reference: no augmentation", protocol="grouped",
        part="validation", seed=2, config={"epochs": 1},
    )  # fmt: skip
    assert job.title == "reference: no augmentation, grouped, seed 2 (interval)"
    assert job.file_stem == "reference-no-augmentation-grouped-seed-2-interval"
    assert Job.from_dict(job.to_dict()) == job
