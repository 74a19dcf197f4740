"""systemd hears how a worker is, and its watchdog is fed only while work goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import unittest
from multiprocessing import Pipe
from unittest import mock

from litequeue import Queue
from litequeue.clock import SystemClock
from litequeue.testing import HandClock
from litequeue.worker.notify import Notifier, taken_from
from litequeue.worker.process import _watch_supervisor
from litequeue.worker.supervisor import ALIVE, ASK, STUCK
from tests.repository import CHECKOUT
from tests.support import PATIENCE_SECONDS, folder_for
from tests.worker.case import FileCase

SECOND = 1_000_000
APP = """
import os, time, litequeue
queue = litequeue.Queue("jobs.db")

@queue.task
def environment():
    return sorted(name for name in os.environ if name.startswith(("NOTIFY", "WATCHDOG")))
"""


class Manager:
    """What systemd is to a service: a socket that reads."""

    def __init__(self, case: unittest.TestCase, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.bind(address)
        self.address = address

    def hear(self, seconds: float = PATIENCE_SECONDS) -> str | None:
        """What is said next, within so many seconds."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode()
        except (TimeoutError, BlockingIOError):
            return None

    def hear_until(self, word: str) -> list[str]:
        """All that is said, up to this word."""
        heard = []
        while (said := self.hear()) is not None:
            heard.append(said)
            if word in said.split("\n"):
                return heard
        raise AssertionError(f"{word} was not said, but {heard}")

    def forget(self) -> None:
        """What was said so far is not wanted."""
        while self.hear(0) is not None:
            pass


class TestNotifier(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = HandClock()
        self.manager = Manager(self, str(folder_for(self) / "notify"))

    def test_says_what_systemd_asks_for(self) -> None:
        notifier = Notifier(self.manager.address, 8 * SECOND, self.clock)
        notifier.ready()
        notifier.progress("at work", self.clock.monotonic())
        notifier.stopping()
        self.assertEqual(
            [self.manager.hear(0) for _ in range(4)],
            ["READY=1", "STATUS=at work\nWATCHDOG=1", "STOPPING=1", None],
        )

    def test_feeds_the_dog_four_times_in_its_time(self) -> None:
        notifier = Notifier(self.manager.address, 8 * SECOND, self.clock)
        fed = 0
        for _ in range(80):
            notifier.progress("at work", self.clock.monotonic())
            fed += self.manager.hear(0) is not None
            self.clock.advance(0.1)
        self.assertEqual(fed, 4)

    def test_does_not_feed_it_when_the_heart_stands_still(self) -> None:
        notifier = Notifier(self.manager.address, 8 * SECOND, self.clock)
        beaten_at = self.clock.monotonic()
        self.clock.advance(9)
        notifier.progress("at work", beaten_at)
        self.assertIsNone(self.manager.hear(0))

    def test_without_a_dog_only_the_status_is_told(self) -> None:
        Notifier(self.manager.address, None, self.clock).progress("at work", 0)
        self.assertEqual(self.manager.hear(0), "STATUS=at work")

    def test_a_manager_that_is_gone_does_no_harm(self) -> None:
        with self.assertLogs("litequeue", "WARNING"):
            Notifier(f"{self.manager.address}-gone", None, self.clock).ready()

    def test_an_abstract_socket(self) -> None:
        name = f"litequeue-test-{os.getpid()}"
        manager = Manager(self, f"\0{name}")
        taken_from({"NOTIFY_SOCKET": f"@{name}"}, self.clock).ready()
        self.assertEqual(manager.hear(0), "READY=1")

    def test_takes_what_is_meant_for_it_out_of_the_environment(self) -> None:
        given = {
            "NOTIFY_SOCKET": self.manager.address,
            "WATCHDOG_USEC": "4000000",
            "WATCHDOG_PID": "1",
            "A": "b",
        }
        taken_from(given, self.clock).progress("at work", 0)
        self.assertEqual(
            (self.manager.hear(0), given), ("STATUS=at work", {"A": "b"})
        )  # the dog is another's
        given = {"NOTIFY_SOCKET": self.manager.address, "WATCHDOG_USEC": "4000000"}
        taken_from(given | {"WATCHDOG_PID": str(os.getpid())}, self.clock).progress("at work", 0)
        self.assertEqual(self.manager.hear(0), "STATUS=at work\nWATCHDOG=1")

    def test_is_silent_where_nobody_asks(self) -> None:
        for given in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}):
            notifier = taken_from(given, self.clock)
            with mock.patch("socket.socket", side_effect=AssertionError):
                notifier.ready()
                notifier.progress("at work", 0)


class TestLoop(FileCase):
    def test_a_loop_that_stands_still_does_not_feed_the_dog(self) -> None:
        manager = Manager(self, str(self.folder / "notify"))
        notifier = Notifier(manager.address, SECOND, SystemClock())  # two heartbeats of an idle worker
        self.enqueue(lambda: None, name="app:nothing")
        (go,) = self.events(1)
        go.set()
        store = self.queue.desk.store
        looks = store.is_work_waiting

        def look(queues: list[str]) -> bool:
            go.wait(PATIENCE_SECONDS)
            return looks(queues)

        with mock.patch.object(store, "is_work_waiting", look):
            loop = self.loop(notifier=notifier)
            thread = threading.Thread(target=loop.run)
            thread.start()
            self.assertEqual(manager.hear(), "READY=1")
            manager.hear_until("WATCHDOG=1")
            go.clear()
            heard = [manager.hear(0.6) for _ in range(2)]  # the first may be from before
            self.assertIsNone(heard[-1], heard)
            go.set()
            manager.hear_until("WATCHDOG=1")
            loop.stop()
            manager.hear_until("STOPPING=1")
            thread.join()


class TestProcess(unittest.TestCase):
    def test_a_process_tells_its_supervisor_whether_its_loop_goes_on(self) -> None:
        clock = HandClock()
        pulse = Notifier(None, None, clock)
        ours, theirs = Pipe()
        loop = mock.Mock()
        thread = threading.Thread(target=_watch_supervisor, args=(theirs, loop, pulse))
        thread.start()
        heard = []
        for moves in (True, True, False, True):
            clock.advance(1)
            if moves:
                pulse.progress("at work", clock.monotonic())
            ours.send_bytes(ASK)
            heard.append(ours.recv_bytes())
        ours.close()
        thread.join()
        self.assertEqual(heard, [ALIVE, ALIVE, STUCK, ALIVE])
        loop.stop.assert_called_once_with()


class TestCommand(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = folder_for(self)
        (self.folder / "app.py").write_text(APP)
        self.manager = Manager(self, str(self.folder / "notify"))
        self.queue = Queue(self.folder / "jobs.db")
        self.addCleanup(self.queue.close)

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """A worker as systemd starts it."""
        asked = {"NOTIFY_SOCKET": self.manager.address, "WATCHDOG_USEC": "2000000"}
        process = subprocess.Popen(
            [sys.executable, "-m", "litequeue", "worker", "jobs.db", "--app", "app", *options],
            cwd=self.folder,
            env={**os.environ, **CHECKOUT, **asked},
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_worker_and_a_crew(self) -> None:
        for options in ((), ("--processes", "2")):
            with self.subTest(options):
                self.manager.forget()
                job = self.queue.enqueue("app:environment", args=())
                worker = self.worker(*options)
                self.assertEqual(self.manager.hear(), "READY=1")
                self.manager.hear_until("WATCHDOG=1")
                self.assertEqual(job.result(PATIENCE_SECONDS), [])
                worker.send_signal(signal.SIGTERM)
                self.manager.hear_until("STOPPING=1")
                self.assertEqual(worker.wait(PATIENCE_SECONDS), 0)
