"""A progress bar on standard error for the slow steps, or nothing where rich is not installed."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(description: str, num_steps: int) -> Iterator[Callable[[int], None]]:
    """Show a bar until the block ends; the function given advances it by a number of steps."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda num_done: None
        return
    console = Console(stderr=True)
    # A log file wants no redrawn lines, and what is printed to standard output stays untouched.
    with Progress(
        console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False
    ) as progress:
        task = progress.add_task(description, total=num_steps)
        yield lambda num_done: progress.advance(task, num_done)
