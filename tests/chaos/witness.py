"""What really happened in a search under attack, noted outside the run folder as it happens.

Workers note every epoch that they train, drivers every trial that ends, each as one line of JSON.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPOCH, ENDED = "epoch", "ended"


def note(path: Path, **event: Any) -> None:
    """Append an event; lines of several processes never mix."""
    line = json.dumps({**event, "pid": os.getpid()}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line.encode())
    os.close(descriptor)


@dataclass
class Testimony:
    """Everything that was noted of a search, by trial."""

    epochs: Counter[tuple[str, int]] = field(default_factory=Counter)  # times each was trained
    endings: dict[str, list[tuple[float, int]]] = field(default_factory=dict)  # (score, epoch)s
    last_pid: int | None = None  # of the worker that trained an epoch last

    @classmethod
    def read(cls, path: Path) -> "Testimony":
        """Read what has been noted so far."""
        testimony = cls()
        for line in path.read_text().splitlines() if path.exists() else []:
            event = json.loads(line)
            trial = str(event["trial"])
            if event["kind"] == EPOCH:
                testimony.epochs[trial, event["epoch"]] += 1
                testimony.last_pid = event["pid"]
            else:
                ending = (event["score"], event["epoch"])
                testimony.endings.setdefault(trial, []).append(ending)
        return testimony

    @property
    def num_epochs(self) -> int:
        """How many epochs were trained, again or for the first time."""
        return self.epochs.total()

    @property
    def num_epochs_twice(self) -> int:
        """How many of them had been trained before."""
        return self.epochs.total() - len(self.epochs)
