"""What a full or failing disk does to a run: it ends with one line, and can go on later."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utkface.io import UserError

#: Beside a run's files: second copies of those that nothing else could be rebuilt from.
BACKUP = "backup"

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def cannot_write(path: Path | str, error: OSError, run: str = "") -> UserError:
    """Return what ends a run that cannot write a file; ``run`` is its name, if not the newest."""
    reason = error.strerror or " ".join(str(error).split())
    return UserError(
        f"cannot write {path}: {reason}; what is on record stands: free space there, "
        f"then go on with --resume {run}".rstrip()
    )


@contextmanager
def told_in_one_line(run_folder: Path) -> Iterator[None]:
    """Raise the `UserError`, or the disk's error as one, that stands behind an exception of Ray's.

    Ray wraps what its callbacks raise; its own files under ray/ meet a full disk as well.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, UserError):
                raise cause from None
            if isinstance(cause, OSError) and cause.errno in _DISK_ERRORS:
                raise cannot_write(cause.filename or run_folder, cause, run_folder.name) from None
            cause = cause.__cause__ or cause.__context__
        raise
