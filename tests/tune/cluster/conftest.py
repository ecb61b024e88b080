"""A Ray cluster of real processes on this machine, and searches that join it."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tune.records.run_folder import SearchFolder
from tune.study.store import open_study, study_records

REPOSITORY = Path(__file__).resolve().parents[3]
TOKEN = "0123456789abcdef" * 4
OBJECT_STORE_BYTES = 80_000_000  # Ray's least is 75 MiB
WAIT_S = 240


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_open(port):
    """Tell whether somebody listens on a port; None stands for no port."""
    with socket.socket() as caller:
        return port is None or caller.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.1)


def kill_with_children(process):
    """End a process and all that it started, at once, as a machine that goes away does."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    parents = dict(map(int, line.split()) for line in listing.stdout.splitlines()[1:])
    doomed = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= more
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


class LocalCluster:
    """A head without CPUs, and workers with one CPU each, as ``ray start`` makes them.

    Where the user may do so (`unshare`), a worker sees empty folders in place of this project's
    packages and of ``private``, as another machine would. The cluster asks for a token.
    """

    def __init__(self, folder):
        self.folder, self.private = folder, folder / "private"
        self.private.mkdir()
        packages = [REPOSITORY / name for name in ("tune", "utkface", "search_spaces")]
        self.hidden = [self.private, *packages] if can_hide() else []
        self.env = {
            **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        port, self.client_port, self.dashboard_port = free_port(), free_port(), free_port()
        while 10002 <= self.dashboard_port <= 19999:  # Ray refuses it: workers' ports
            self.dashboard_port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.workers, self.numbers = [], itertools.count()
        self.head = self._start_node(
            "head", "--head", f"--port={port}", "--num-cpus=0", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard_port}",
            f"--dashboard-agent-listen-port={free_port()}",  # submitted jobs start there
            f"--ray-client-server-port={self.client_port}", listens_on=self.client_port,
        )  # fmt: skip

    def add_worker(self):
        name = f"worker{next(self.numbers)}"
        worker = self._start_node(
            name, f"--address={self.address}", "--num-cpus=1",
            f"--dashboard-agent-listen-port={free_port()}", hidden=self.hidden,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def kill(self, worker):
        self.workers.remove(worker)
        kill_with_children(worker)

    def ask_dashboard(self, question):
        """Return what a process of the cluster's user prints as the answer of its dashboard."""
        script = (
            "from ray.job_submission import JobSubmissionClient\n"
            "from ray.util.state import list_actors\n"
            f"url = 'http://127.0.0.1:{self.dashboard_port}'\nprint({question})"
        )
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=True, timeout=WAIT_S
        ).stdout

    def stop(self):
        for process in [*self.workers, self.head]:
            if process.poll() is None:
                kill_with_children(process)

    def _start_node(self, name, *arguments, **how):
        """Start a node; again if need be: on a busy machine Ray's processes miss each other."""
        for attempt in range(3):
            process = self._ray_start(f"{name}-{attempt}", *arguments, **how)
            if process.poll() is None:
                return process
        raise AssertionError((self.folder / f"{name}-{attempt}.log").read_text())

    def _ray_start(self, name, *arguments, hidden=(), listens_on=None):
        # Each has a temporary folder of its own: two that start at once take each other's sockets.
        temporary, log = self.folder / name, self.folder / f"{name}.log"
        command = [
            str(Path(sys.executable).with_name("ray")), "start", *arguments, "--block",
            f"--temp-dir={temporary}", f"--object-store-memory={OBJECT_STORE_BYTES}",
        ]  # fmt: skip
        if hidden:
            mounts = "; ".join(f"mount -t tmpfs none '{path}'" for path in hidden)
            command = ["unshare", "-m", "sh", "-ec", f'{mounts}; exec "$@"', "sh", *command]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=self.env, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

        def has_started():  # the last server to come takes a head down with it if it fails
            return "Ray runtime started" in log.read_text() and is_open(listens_on)

        wait_until(lambda: has_started() or process.poll() is not None, name)
        return process


def can_hide():
    """Tell whether this user may give a process file systems of its own."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


@pytest.fixture(scope="session")
def local_cluster():
    """A head and two workers that see neither this project's code nor what lies in ``private``."""
    # A short path: Ray's sockets lie below it, and the system allows them 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as name:
        cluster = LocalCluster(Path(name))
        try:
            cluster.add_worker()
            cluster.add_worker()
            yield cluster
        finally:
            cluster.stop()


class Search:
    """``tune/run_search.py`` on demo faces, as a process that joins a cluster."""

    def __init__(self, cluster, results):
        self.cluster, self.results = cluster, results
        self.log = results.with_name("search.log")

    @property
    def env(self):
        # Faces that only the driver's machine has.
        return {**self.cluster.env, "UTKFACE_CACHE": str(self.cluster.private / "cache")}

    def start(self, *arguments, address=None, env=None):
        command = [
            sys.executable, "tune/run_search.py", "--results", self.results, "--address",
            address or self.cluster.address, *arguments,
        ]  # fmt: skip
        with self.log.open("a") as output:
            return subprocess.Popen(
                list(map(str, command)), cwd=REPOSITORY, env={**self.env, **(env or {})},
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def new(self, *arguments, **how):
        return self.start(
            "--space", "quick", "--data", "demo", "--weights", "none", "--no-confirm",
            "--image-size", 32,
            "--wandb", "disabled", *arguments, **how,
        )  # fmt: skip

    def wait(self, process):
        try:
            return process.wait(2 * WAIT_S)
        finally:
            process.kill()

    @property
    def folder(self):
        return SearchFolder.find(self.results)

    def records(self):
        return study_records(open_study(self.folder.journal))

    def num_epochs(self):
        """Count the epochs on record while the search runs; the journal is only looked at."""
        journals = self.results.glob("*/study.journal")
        return sum(path.read_bytes().count(b"intermediate_value") for path in journals)


@pytest.fixture
def search(local_cluster, tmp_path):
    return Search(local_cluster, tmp_path / "results")
