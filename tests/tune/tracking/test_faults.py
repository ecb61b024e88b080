"""The real wandb against servers that hang, refuse or are not there: the search never notices."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tune.options import REPOSITORY

KEY = "0f" * 20

# A search of two trials, with a shorter patience than the product's.
SEARCH = """
import sys
sys.path.insert(0, {repository!r})
from pathlib import Path
from tune.tracking import wandb_runs
from tune.execution.reporting import RunStart
from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord
from tune.tracking.wandb_logger import WandbLogger, resolve_mode

wandb_runs._INIT_TIMEOUT_S = 4.0
mode, _ = resolve_mode("online")
logger = WandbLogger(mode, Path("run"), say=print)
record = SearchRecord.parse({search!r}, "search.json")
logger.search_started(RunStart(record, Path("run")))
records = []
for number in (0, 1):
    logger.trial_started(number, {{"dropout": 0.1}}, 0)
    epochs = [{{"epoch": epoch, "score": 1.0 / epoch}} for epoch in (1, 2, 3)]
    for metrics in epochs:
        logger.epoch_finished(number, metrics)
    records.append(TrialRecord(
        number=number, state="COMPLETE", score=epochs[-1]["score"], params={{}},
        config={{"dropout": 0.1}}, epochs=epochs,
    ))
    logger.trial_ended(records[-1])
print("searched", flush=True)
sys.stdin.readline()  # until the test has seen that nobody was waited for
logger.search_ended(records, None)
print("ended")
"""


class Server(ThreadingHTTPServer):
    """Answers every request in one way, and counts them."""

    def __init__(self, answer):
        self.num_requests, self.answer, self.closing = 0, answer, threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.num_requests += 1
        self.server.answer(self)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *arguments):
        pass


def hang(request):
    request.server.closing.wait(300)


def refuse(request):
    request.send_error(401, "no such user")


def fail_slowly(request):
    request.server.closing.wait(1)
    with contextlib.suppress(OSError):
        request.send_error(503)


@contextlib.contextmanager
def serving(answer):
    server = Server(answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()


def start_search(tmp_path, port, search):
    """Start the search; return it with its environment."""
    (tmp_path / "run").mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | {
        "HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "WANDB_API_KEY": KEY,
        "WANDB_BASE_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    command = [sys.executable, "-c", SEARCH.format(repository=str(REPOSITORY), search=search)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return process, environment


def wait_for_line(process, text):
    """Read what the process prints until a line comes; return it all."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip() == text:
            return "".join(lines)
    raise AssertionError("".join(lines))


def check_recorded_offline(folder, environment):
    """Assert that the trial whose run could not be opened is there whole, to be sent later."""
    first, *others = sorted((folder / "wandb").glob("offline-run-*"))
    assert others
    inspect = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(first)]
    read = json.loads(subprocess.check_output(inspect, env=environment))
    assert (read["step"], read["summary"]["state"]) == (3, "COMPLETE")


@pytest.mark.slow
@pytest.mark.parametrize("answer", [hang, refuse, fail_slowly])
def test_a_wandb_in_trouble_is_neither_waited_for_nor_fatal(tmp_path, search_json, answer):
    with serving(answer) as server:
        process, environment = start_search(tmp_path, server.server_port, search_json)
        told = wait_for_line(process, "searched")
        while not server.num_requests:  # it is asked, in the background
            assert process.poll() is None, told
            time.sleep(0.05)
        rest, _ = process.communicate("\n", timeout=240)
    assert process.returncode == 0, told + rest
    assert "ended" in rest.splitlines()  # wandb itself may complain after it
    assert (told + rest).count("the search goes on") == 1
    assert KEY not in told + rest
    check_recorded_offline(tmp_path / "run", environment)


@pytest.mark.slow
def test_a_wandb_that_is_not_there_is_neither_waited_for_nor_fatal(tmp_path, search_json):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens: connections are refused
        process, environment = start_search(tmp_path, unused.getsockname()[1], search_json)
        rest, _ = process.communicate("\n", timeout=240)
    assert process.returncode == 0, rest
    assert rest.count("the search goes on") == 1
    check_recorded_offline(tmp_path / "run", environment)
