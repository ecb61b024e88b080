"""On which faces and on what machine something was run: typed records that are quick to import."""

from pydantic import BaseModel, ConfigDict, ValidationError

#: Faces that can be read of UTKFace, aligned and cropped, of which some things are known.
_NUM_UTKFACE = 23_705


class Record(BaseModel):
    """Plain values with names and types; NaN and infinity are refused."""

    model_config = ConfigDict(allow_inf_nan=False)


class DataFacts(Record):
    """Which faces these are."""

    source: str
    fingerprint: str
    is_demo: bool
    num_faces: int
    num_rejected: int | None = None

    @property
    def is_utkface(self) -> bool:
        """Whether they are UTKFace's, all of them; copies of it differ in their files' bytes."""
        return not self.is_demo and self.num_faces == _NUM_UTKFACE


class Hardware(Record):
    """What the cluster had when a run began."""

    machine: str | None = None
    nodes: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    memory_gib: float | None = None
    accelerators: list[str] = []


class SharedHardware(Hardware):
    """The same, and what each training got of it."""

    gpus_per_trial: float | None = None
    concurrency: int | None = None
    cpus_per_trial: float | None = None

    @property
    def trains_on_gpu(self) -> bool:
        """Whether a training had a GPU, or a part of one."""
        return bool(self.gpus if self.gpus_per_trial is None else self.gpus_per_trial)


def what_is_wrong(error: ValidationError) -> str:
    """Return the first field that is wrong in a file, and how."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "its content"
    if first["type"] == "missing":
        return f"{field} is missing"
    return f"{field}={first['input']!r:.80}: {first['msg'].lower()}"
