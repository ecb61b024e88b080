"""Sets what Ray reads when it is imported, before any test file imports it."""

from typing import Any

import pytest

import tune  # noqa: F401


@pytest.fixture
def search_json() -> dict[str, Any]:
    """The content of a search.json as a finished search leaves it."""
    return {
        "name": "oversampling-1",
        "space": "oversampling",
        "question": "Does oversampling rare ages lower the error?",
        "space_signature": {
            "parameters": {"max_lr": {"ranges": ["0.0001..0.01 log"], "num_draws": 100}},
            "constants": {"clip_norm": 0.0},
            "points": [],
        },
        "points": [],
        "command": "python tune/run_search.py --space oversampling",
        "options": {},
        "objectives": ["score"],
        "seed": 0,
        "created": "2026-01-01T10:00:00",
        "ended": "2026-01-01T12:00:00",
        "wall_s": 7200.0,
        "status": "finished",
        "num_trials": 3,
        "max_epochs": 6,
        "image_size": 64,
        "sampler": "tpe",
        "scheduler": "asha",
        "grace": 1,
        "reduction_factor": 3,
        "rungs": [1, 3],
        "split": "grouped",
        "weights": "imagenet",
        "data": {
            "source": "UTKFace",
            "fingerprint": "f" * 64,
            "split_hash": "5" * 64,
            "is_demo": False,
            "num_faces": 23705,
            "num_rejected": 3,
            "num_train": 15000,
            "num_val": 3800,
            "num_test": 4741,
        },
        "concurrency": 2,
        "cpus_per_trial": 1.0,
        "gpus_per_trial": 0.0,
        "hardware": {"nodes": 1, "cpus": 2.0, "gpus": 0, "memory_gib": 15.7, "accelerators": []},
        "versions": {"torch": "2.15.0"},
        "commit": "abc",
    }
