"""A few attacks of the soak, whatever the machine; ``soak.py`` by hand for many and the stock's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SEED, NUM_KILLS = 20261124, 6


@pytest.mark.slow
def test_a_search_under_attack_loses_repeats_and_changes_nothing(tmp_path):
    command = [
        sys.executable, Path(__file__).with_name("soak.py"), "--ours-only", "--kills", NUM_KILLS,
        "--seed", SEED, "--progress", 1, 5, "--folder", tmp_path / "soak",
        "--out", tmp_path / "card",
    ]  # fmt: skip
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    card = json.loads((tmp_path / "card.json").read_text())["this project"]
    assert sum(card["kills"].values()) >= NUM_KILLS
    assert card["trials"] > 0
    faults = ("lost", "repeated", "changed", "wrong", "failed_restarts")
    assert {name: card[name] for name in faults} == dict.fromkeys(faults, 0)
    assert card["files_left"] == card["disagreements"] == []
