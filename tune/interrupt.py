"""Ending a long command in order: at Ctrl-C, at SIGTERM, or when its time is up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Interruptible(Protocol):
    """What can be asked to stop."""

    interrupted: bool  # by Ctrl-C or SIGTERM
    stop_requested: threading.Event


@contextmanager
def interruptible(session: Interruptible, time_budget_s: float | None) -> Iterator[None]:
    """End the search in order at Ctrl-C, at SIGTERM, or when its time is up.

    A second Ctrl-C is the usual KeyboardInterrupt; nothing on record is lost by it either.
    """

    def request_stop(number: int, frame: Any) -> None:
        session.interrupted = True
        session.stop_requested.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = {
        number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    timer = threading.Timer(time_budget_s or 0, session.stop_requested.set)
    timer.daemon = True
    if time_budget_s:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)
