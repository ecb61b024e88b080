"""Errors for the user, files that are whole or absent, checkpoints and progress.

Files and folders are made under a temporary name in the same folder and then renamed, so that a
process killed in the middle, a full disk or a second process doing the same work never leaves half
of one. A checkpoint is one file with a dictionary of tensors and numbers, read without running
code. Only the standard library is imported before it is needed: configurations and search spaces
raise `UserError` where there is no PyTorch.
"""

import contextlib
import glob
import io
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

#: What commands begin with that are printed to be typed: as this one was started.
UV_RUN = "uv run " if "UV" in os.environ else ""

Task = TypeVar("Task")
Result = TypeVar("Result")

ABANDONED_AFTER_S = 24 * 60 * 60
#: Of the lines that tell a log of progress.
FIRST_LINE_AFTER_S, NEXT_LINE_AFTER_S = 2.0, 30.0
_SUFFIX = ".tmp"

#: Raised when a checkpoint's meaning changes; written into each and checked at reading.
CHECKPOINT_VERSION = 1
_VERSION_KEY = "utkface_checkpoint"


class UserError(ValueError):
    """A mistake the user can mend: one line that says what, which value and what to do.

    Every command prints it without a traceback and exits with status 2 (`run_command`).
    """


def describe_error(error: BaseException) -> str:
    """Return one line on what went wrong; where in the code, unless it was the user's mistake."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message}{where}"


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's ``main`` and exit: its status, 2 for a `UserError`, 130 for Ctrl-C.

    1 where nobody reads the output any more.
    """
    try:
        status = main() or 0
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)


@contextlib.contextmanager
def progress_bar(description: str, num_steps: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error until the block ends; the function given advances it.

    num_steps: None where nobody can tell. A terminal has a bar; elsewhere, or where rich is not
    installed, there is a line after two seconds and then one every half minute, so that a log is
    neither silent nor long.
    """
    console = None
    with contextlib.suppress(ImportError):
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
    if console is None or not console.is_terminal:
        with _progress_lines(description, num_steps) as advance:
            yield advance
        return
    # What is printed to standard output stays untouched.
    with Progress(console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(description, total=num_steps)
        yield lambda num_done: progress.advance(task, num_done)


@contextlib.contextmanager
def _progress_lines(description: str, num_steps: int | None) -> Iterator[Callable[[int], None]]:
    """Print how far it is now and then, from a thread of its own: a step may take a minute."""
    num_done = 0
    has_ended = threading.Event()

    def advance(num_more: int) -> None:
        nonlocal num_done
        num_done += num_more

    def tell() -> None:
        wait_s = FIRST_LINE_AFTER_S
        while not has_ended.wait(wait_s):
            how_far = "…" if num_steps is None else f": {num_done:,} of {num_steps:,}"
            print(f"{description}{how_far}", file=sys.stderr, flush=True)
            wait_s = NEXT_LINE_AFTER_S

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        has_ended.set()
        thread.join()


def map_ahead(
    function: Callable[[Task], Result], tasks: Iterable[Task], num_workers: int, num_ahead: int
) -> Generator[Result, None, None]:
    """Apply a function to tasks in threads and give the results in order.

    At most ``num_ahead`` results wait or are under way while the caller uses one: memory does not
    grow with the number of tasks, and a caller that stops early stops the work.
    """
    pool = ThreadPoolExecutor(num_workers)
    pending: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(function, task))
            if len(pending) > num_ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def map_files(
    function: Callable[[Task], Result], tasks: Sequence[Task], what: str
) -> Iterator[Result]:
    """Apply a function to many small tasks in a thread for each core; give the results in order.

    For what lets go of the interpreter's lock: reading, Pillow, NumPy. Shows progress.
    """
    parts = [tasks[i : i + 32] for i in range(0, len(tasks), 32)]
    num_workers = num_cores()
    with progress_bar(what, len(tasks)) as advance:
        for results in map_ahead(
            lambda part: [function(task) for task in part], parts, num_workers, 2 * num_workers
        ):
            yield from results
            advance(len(results))


def num_cores() -> int:
    """Return how many cores this process may use: in a container, fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the block a temporary path to write; it becomes ``path`` if the block ends well.

    Raises `UserError` when the disk is full or the folder cannot be written.
    """
    with _temporary_folder(path) as folder:
        yield folder / path.name
        (folder / path.name).replace(path)


def folder_once(path: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder ``path``, filled by ``fill(temporary_folder)`` if it does not exist yet.

    The name must tell the content (a hash), as an existing folder is taken as it is. Raises
    `UserError` when the disk is full or the folder cannot be written.
    """
    if path.is_dir():
        return path
    with _temporary_folder(path) as folder:
        filled = folder / path.name
        filled.mkdir()
        fill(filled)
        try:
            filled.rename(path)
        except OSError:
            if not path.is_dir():  # else another process was faster, with the same content
                raise
    return path


@contextlib.contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path`` for the block, and remove it with whatever is in it.

    What earlier attempts left when they were killed goes too. A full or read-only disk is told as
    the user's matter that it is.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                if time.time() - left.stat().st_mtime > ABANDONED_AFTER_S:
                    shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(_SUFFIX, f".{path.name}.", path.parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free space there or choose another "
            "folder (UTKFACE_CACHE names the cache, --results the runs)"
        ) from error


def dump_checkpoint(state: dict[str, Any]) -> bytes:
    """Return a state as the bytes of a checkpoint file."""
    import torch

    buffer = io.BytesIO()
    torch.save({_VERSION_KEY: CHECKPOINT_VERSION, **state}, buffer)
    return buffer.getvalue()


def parse_checkpoint(data: bytes, name: str = "checkpoint") -> dict[str, Any]:
    """Return the state in a checkpoint's bytes, its tensors on the CPU.

    Raises `UserError`, which calls the checkpoint ``name``, for bytes that are damaged, of another
    kind, or of another version.
    """
    import torch

    try:
        with warnings.catch_warnings():  # of torch, about the pickle in a file that is none
            warnings.simplefilter("ignore")
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # flipped bytes surface as whatever the parser trips over
        raise UserError(
            f"{name} is damaged, or no checkpoint: its {len(data)} bytes cannot be read as one; "
            "copy it again, or use another"
        ) from error
    version = state.pop(_VERSION_KEY, None) if isinstance(state, dict) else None
    if version is None:
        raise UserError(f"{name} is no checkpoint of this project; give one that training wrote")
    if version != CHECKPOINT_VERSION:
        raise UserError(
            f"{name} has checkpoint version {version}, this program reads {CHECKPOINT_VERSION}; "
            "use the program that wrote it, or train again"
        )
    return state


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write a state to ``path``, which holds the old checkpoint or the new one at any moment."""
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(dump_checkpoint(state))


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the state in a checkpoint file; raises `UserError` where there is none to be had."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the checkpoint {path} ({error.strerror}); give the path of another"
        ) from error
    return parse_checkpoint(data, str(path))
