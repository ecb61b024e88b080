"""The scorecard sees what it is there to see."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def chaos(monkeypatch):
    """The soak's modules, which are scripts' neighbours and no package."""
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])
    yield importlib.import_module("scorecard"), importlib.import_module("witness")
    for name in ("scorecard", "witness", "sleeper"):
        sys.modules.pop(name, None)


def test_lost_repeated_and_changed_trials_are_counted(chaos, tmp_path):
    scorecard, witness = chaos
    notes = tmp_path / "witness.jsonl"
    for trial, epochs in (("a", 2), ("b", 1), ("c", 3)):
        for epoch in range(1, epochs + 1):
            witness.note(notes, kind=witness.EPOCH, trial=trial, epoch=epoch)
    witness.note(notes, kind=witness.EPOCH, trial="c", epoch=3)
    for trial, score in (("a", 0.5), ("b", 0.7), ("c", 0.9), ("c", 0.9)):
        witness.note(notes, kind=witness.ENDED, trial=trial, score=score, epoch=2)
    testimony = witness.Testimony.read(notes)
    final = {"a": (0.5, 2), "c": (0.8, 2), "d": (0.1, 1)}
    assert scorecard.judge(testimony, final) == {
        "trials": 3, "lost": 1, "repeated": 1, "changed": 1,
        "epochs_trained": 7, "epochs_twice": 1,
    }  # fmt: skip
