"""A wall clock that jumps by days, back and forth, every few seconds."""

import datetime as real
import random
import time
from collections.abc import Iterable
from types import ModuleType
from typing import Any

_JUMP_EVERY_S, _FURTHEST_S = 3.0, 2 * 24 * 3600
_true_time = time.time


def offset_s() -> float:
    """Return how wrong the clock is now; the same for all who look within a few seconds."""
    epoch = int(_true_time() // _JUMP_EVERY_S)
    return random.Random(epoch).uniform(-_FURTHEST_S, _FURTHEST_S)


class JumpingDatetime(real.datetime):
    """What a module gets in place of ``datetime``."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """Return the time that the clock shows."""
        return real.datetime.fromtimestamp(_true_time() + offset_s(), tz)


def install(modules: Iterable[ModuleType]) -> None:
    """Let `time.time` jump for everyone in this process, and ``datetime`` for these modules."""
    time.time = lambda: _true_time() + offset_s()
    for module in modules:
        assert module.datetime is real.datetime
        module.datetime = JumpingDatetime
