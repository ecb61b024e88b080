"""Training that only sleeps: cheap enough to be killed often, exact enough to be checked."""

import json
import math
import time
from pathlib import Path
from typing import Any

from ray import tune
from witness import EPOCH, note


def score(rate: float, epoch: int) -> float:
    """Return what a configuration reaches after an epoch; the best rate is 0.003."""
    return abs(math.log10(rate) - math.log10(0.003)) + 1 / epoch


class Sleeper(tune.Trainable):
    """Sleeps through each epoch; ``work`` is {"epoch_s", "witness": path, "states": folder}."""

    def setup(self, config: dict[str, Any], work: dict[str, Any]) -> None:
        """Begin the first trial of this worker."""
        self.work = work
        self.begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same worker."""
        self.begin(new_config)
        return True

    def begin(self, config: dict[str, Any]) -> None:
        """Take over a configuration, at its beginning."""
        self.rate, self.epoch = config["rate"], 0

    def train_epoch(self, trial: str) -> dict[str, Any]:
        """Sleep, note it, and return the epoch's metrics."""
        time.sleep(self.work["epoch_s"])
        self.epoch += 1
        note(Path(self.work["witness"]), kind=EPOCH, trial=trial, epoch=self.epoch)
        return {"epoch": self.epoch, "score": score(self.rate, self.epoch)}

    def write_state(self, path: Path) -> None:
        """Write where the trial stands, whole or not at all."""
        temporary = path.with_name(f"{path.name}.tmp")
        temporary.write_text(json.dumps({"epoch": self.epoch}))
        temporary.replace(path)

    def read_state(self, path: Path) -> bool:
        """Go on from a state; says whether there is a whole one."""
        try:
            self.epoch = json.loads(path.read_text())["epoch"]
        except (OSError, ValueError):
            return False
        return True
