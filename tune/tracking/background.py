"""A thread that does tasks in their order, so that nobody waits for them or fails with them."""

import queue
import threading
from collections.abc import Callable

from tune.tracking.mode import one_line

Task = Callable[[], None]

CLOSE_TIMEOUT_S = 60.0  # at the end of a search, for all that is left to send
_PATIENCE_S = 3.0  # of a user who is not told what is waited for


class BackgroundTasks:
    """Does the tasks that it is given, from `start` to `close`.

    ``say`` prints a line for the user, ``warn`` is told of each task that fails; both may be
    called from the thread. The thread never keeps the process from ending.
    """

    def __init__(self, *, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._say, self._warn = say, warn
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work, name="wandb", daemon=True)

    def start(self) -> None:
        """Begin with the first task."""
        self.thread.start()

    def put(self, task: Task) -> None:
        """Have a task done after all others."""
        self._tasks.put(task)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Wait until all tasks are done, for a bounded time; a second call does nothing."""
        if not self.thread.is_alive():
            return
        self._tasks.put(None)
        self.thread.join(min(_PATIENCE_S, timeout_s))
        if self.thread.is_alive():
            self._say(f"waiting for W&B, for at most {timeout_s:.0f} s")
            self.thread.join(max(0.0, timeout_s - _PATIENCE_S))
        if self.thread.is_alive():
            self._warn(f"it is still busy after {timeout_s:.0f} s")

    def _work(self) -> None:
        while task := self._tasks.get():
            try:
                task()
            except Exception as error:  # one that fails is no reason to leave out the others
                self._warn(one_line(error))
