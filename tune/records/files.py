"""Files of a run: typed records, and what a full or failing disk does to them."""

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_serializer

from utkface.evaluation.facts import what_is_wrong
from utkface.io import UserError, replacing

#: Beside a run's files: second copies of those that nothing else could be rebuilt from.
BACKUP = "backup"

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}

#: Metrics as a file keeps them: whole numbers stay whole, and one may be missing.
Measured = Mapping[str, int | float | None]


class Record(BaseModel):
    """Typed values of a JSON file; a newer version's further fields are no reason to refuse it."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=True, ser_json_inf_nan="constants")

    @classmethod
    def parse(cls, values: object, where: str) -> Self:
        """Check the content of a file; raises `UserError` that names the field that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(
                f"{where} cannot be read ({what_is_wrong(error)}); was the run copied whole, or "
                "made by another version?"
            ) from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file, else its copy; raises `UserError` where neither is there and whole."""
        try:
            return cls._read(path)
        except UserError:
            with suppress(UserError):
                return cls._read(path.parent / BACKUP / path.name)
            raise

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            values = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read ({error}); was the run copied whole?"
            ) from error
        return cls.parse(values, str(path))

    def write(self, path: Path) -> None:
        """Write a file, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n")


Status = Literal["finished", "interrupted", "running", "failed"]


class RunRecord(Record):
    """What the records of all runs have in common; times are ISO 8601, local."""

    name: str
    question: str
    command: str
    created: str
    ended: str | None = None
    wall_s: float = 0.0  # of all sessions
    status: Status
    versions: dict[str, str]
    commit: str | None
    training_version: int = 1  # of the code that trains: other versions' scores do not compare

    @field_serializer("options", check_fields=False)
    def _but_their_folder(self, options: object) -> dict[str, Any]:
        """Leave out the folder of results, which may move along with the run."""
        return {name: value for name, value in vars(options).items() if name != "results"}


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
