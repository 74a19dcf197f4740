"""The examples of web apps under the servers that people run them with, and while their code changes.

Each job writes a line when it runs. A lost one is missing there, and one that ran twice is there twice.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable
from contextlib import suppress
from urllib.error import URLError
from urllib.request import Request, urlopen

from litequeue import Queue
from tests.markdown import blocks
from tests.repository import ROOT
from tests.support import PATIENCE_SECONDS, folder_for

if not all(map(importlib.util.find_spec, ("flask", "fastapi", "uvicorn", "gunicorn"))):
    raise unittest.SkipTest("the web frameworks are not installed here; .ci/run has an environment for them")

JOBS = 100
MARK = """

import os, pathlib, time


@queue.task
def mark(number):
    time.sleep(0.04)
    with pathlib.Path(__file__).with_name("marks").open("a") as file:
        file.write(f"{number} {os.getpid()}\\n")
"""


class Server:
    """A server that runs one of the examples in a folder of its own, at a free port."""

    def __init__(self, test: unittest.TestCase, example: str, command: str) -> None:
        self.folder = folder_for(test)
        self.module = self.folder / f"{example}.py"
        shutil.copy(ROOT / "examples" / f"{example}.py", self.module)
        self.module.write_text(self.module.read_text().replace("\nif __name__", f"{MARK}\n\nif __name__", 1))
        (self.folder / "working.py").write_text(gunicorn_hook().replace("from app", f"from {example}"))
        self.port = free_port()
        self._test = test
        self.process = self.start(command.format(port=self.port))
        self.queue = Queue(self.folder / f"{example}.db", durability="normal")
        test.addCleanup(self.queue.close)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Run Python in its folder; the test ends it with all its children."""
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *command.split()],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PORT": str(self.port), "HOME": str(self.folder)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._test.addCleanup(process.wait)
        self._test.addCleanup(end, process)
        return process

    def get(self, path: str, *, body: bytes | None = None, accept: str = "*/*") -> str:
        """What it answers, as soon as it answers at all."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", body, {"Accept": accept})
        answer: list[str] = []

        def has_answered() -> bool:
            try:
                with urlopen(request, timeout=PATIENCE_SECONDS) as response:
                    watchdog = threading.Timer(PATIENCE_SECONDS, end, [self.process])
                    watchdog.start()
                    answer.append(response.read().decode())
                    watchdog.cancel()
            except (URLError, ConnectionError):
                return False
            return True

        self.wait_for(has_answered)
        return answer[0]

    def marks(self) -> list[tuple[int, int]]:
        """The numbers of the jobs that ran, each with the process that ran it."""
        file = self.folder / "marks"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(number), int(process)) for number, process in map(str.split, lines)]

    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Look now and then; fails with the log."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"it does not come; {len(self.marks())} jobs ran\n{self.log()}")
            time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def gunicorn_hook() -> str:
    """What the README says of gunicorn."""
    told = blocks((ROOT / "README.md").read_text())
    return next(block.text for block in told if block.marked("file") == "gunicorn.conf.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TestServers(unittest.TestCase):
    def assert_pages_see_progress(self, server: Server) -> None:
        job = json.loads(server.get("/reports/3", body=b""))["id"]
        self.assertEqual(json.loads(server.get(f"/jobs/{job}"))["id"], job)
        events = server.get(f"/jobs/{job}", accept="text/event-stream").split("\n\n")
        last = json.loads(events[-2].removeprefix("data: "))
        self.assertEqual((last["state"], last["progress"], events[-1]), ("completed", "page 3 of 3", ""))

    def assert_each_runs_once(self, server: Server, meanwhile: Callable[[], object]) -> None:
        """Enqueue jobs, let something happen when a part of them has run, and wait for all."""
        name = f"{server.module.stem}:mark"
        jobs = [server.queue.enqueue(name, number) for number in range(JOBS)]
        server.wait_for(lambda: len(server.marks()) >= 4)
        meanwhile()
        server.wait_for(lambda: not any(map(server.queue.counts().get, ("scheduled", "ready", "running"))))
        self.assertEqual(sorted(number for number, _ in server.marks()), list(range(JOBS)), server.log())
        self.assertEqual([job.refresh().failures for job in jobs], [0] * JOBS)

    def assert_processes(self, server: Server, fewest: int) -> None:
        self.assertGreaterEqual(len({process for _, process in server.marks()}), fewest, server.log())

    def assert_a_reload_loses_nothing(self, server: Server, told: str) -> None:
        def reload() -> None:
            os.utime(server.module)
            server.wait_for(lambda: told in server.log())

        self.assert_pages_see_progress(server)
        self.assert_each_runs_once(server, reload)
        self.assert_processes(server, 2)
        self.assert_pages_see_progress(server)

    def test_flask_with_its_reloader(self) -> None:
        server = Server(self, "flask_app", "flask_app.py --serve")
        self.assert_a_reload_loses_nothing(server, "Detected change in")
        self.assertEqual(len(server.queue.workers()), 1, "the process that only watches works, too")

    def test_uvicorn_with_its_reloader(self) -> None:
        server = Server(self, "fastapi_app", "-m uvicorn fastapi_app:app --reload --port {port}")
        self.assert_a_reload_loses_nothing(server, "Reloading...")
        self.assertEqual(len(server.queue.workers()), 1, "the process that only watches works, too")

    def test_uvicorn_with_two_processes(self) -> None:
        server = Server(self, "fastapi_app", "-m uvicorn fastapi_app:app --workers 2 --port {port}")
        self.assert_pages_see_progress(server)
        server.wait_for(lambda: len(server.queue.workers()) == 2)
        self.assert_each_runs_once(server, lambda: None)
        self.assert_processes(server, 2)

    def test_gunicorn_with_two_processes_that_are_begun_anew(self) -> None:
        for preload in ("", "--preload"):
            with self.subTest(preload):
                options = f"--workers 2 {preload} --config working.py --bind 127.0.0.1:{{port}}"
                server = Server(self, "flask_app", f"-m gunicorn {options} flask_app:app")
                self.assert_pages_see_progress(server)
                server.wait_for(lambda: len(server.queue.workers()) == 2)  # noqa: B023
                self.assert_each_runs_once(server, lambda: server.process.send_signal(signal.SIGHUP))  # noqa: B023
                self.assert_processes(server, 3)

    def test_plain_wsgi_with_its_worker_inside(self) -> None:
        server = Server(self, "web_app", "web_app.py --serve")
        self.assert_pages_see_progress(server)
        self.assert_each_runs_once(server, lambda: None)

    def test_gunicorn_with_the_worker_beside(self) -> None:
        server = Server(self, "web_app", "-m gunicorn --workers 2 --bind 127.0.0.1:{port} web_app:app")
        beside = server.start("-m litequeue worker web_app.db --threads 2")
        self.assert_pages_see_progress(server)
        self.assert_each_runs_once(server, lambda: None)
        self.assertEqual({process for _, process in server.marks()}, {beside.pid})
