"""Made-up searches in folders, as a checkout has them."""

import pytest

from tune.records import TrialRecord
from tune.run_folder import RunFolder

DATA = {"fingerprint": "f" * 64, "split_hash": "5" * 64, "is_demo": False, "source": "faces"}
SIGNATURE = {
    "parameters": {"max_lr": {"ranges": ["0.0001..0.01 log"], "num_draws": 100}},
    "constants": {"clip_norm": 0.0},
    "points": [],
}


def make_record(number, state, score, minute, config):
    num_epochs = 2 if state == "COMPLETE" else 1
    metrics = {"score": score, "age_mae": 5 * score, "gender_accuracy": 0.9, "worst_group_mae": 9.0}
    return TrialRecord(
        number=number, state=state, score=score, params={"max_lr": config["max_lr"]},
        config=config, epochs=[{"epoch": i, **metrics} for i in range(1, num_epochs + 1)],
        reason=None, started=f"2026-01-01T10:{minute - 1:02d}:00",
        ended=f"2026-01-01T10:{minute:02d}:00",
    )  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    """Write a search of three trials as it is in a checkout, without its journal."""

    def make(best_score, *, max_lr=0.001, **search):
        folder = RunFolder.create(tmp_path / "results", "rate")
        config = {"max_lr": max_lr, "dropout": 0.25, "pretrained": True}
        records = [
            make_record(0, "COMPLETE", best_score + 0.1, 3, {**config, "max_lr": 0.005}),
            make_record(1, "PRUNED", 0.1, 5, config),
            make_record(2, "COMPLETE", best_score, 9, config),
        ]
        values = {
            "name": folder.path.name, "space": "rate", "created": "2026-01-01T10:00:00",
            "data": DATA, "image_size": 64, "max_epochs": 2, "weights": "imagenet",
            "status": "finished", "wall_s": 540.0, "num_trials": 3, "seed": 0,
            "hardware": {"cpus": 2.0, "gpus": 0}, "concurrency": 2, "space_signature": SIGNATURE,
        }  # fmt: skip
        folder.write_record({**values, **search})
        folder.write_tables(records)
        return folder

    return make
