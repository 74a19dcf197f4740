"""What is sent while things change, and the server that sends it."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import threading
import unittest
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from unittest import mock
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from litequeue import Queue
from litequeue.cli.dashboard import guard_of
from litequeue.cli.program import run
from litequeue.cli.terminal import Terminal
from litequeue.clock import SECOND, SystemClock
from litequeue.errors import DatabaseError, InvalidOption
from litequeue.web.app import Dashboard
from litequeue.web.guard import LOOPBACK, Guard
from litequeue.web.live import MOST_WATCHERS, Pulse, Watchers
from litequeue.web.server import Server
from litequeue.web.source import FileSource, Marks, marks
from tests.cli.case import Paper, StillClock
from tests.support import PATIENCE_SECONDS, folder_for
from tests.web.case import TOKEN


class TestPulse(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = StillClock()
        self.looks = 0
        self.mark = 1
        self.pulse = Pulse(self.look, self.marks, self.clock)

    def look(self) -> object:
        self.looks += 1
        return {"look": self.looks}

    def marks(self) -> Marks | None:
        return ((self.mark, 0, 0),)

    def test_one_look_serves_all(self) -> None:
        self.assertEqual([self.pulse.newest()[0] for _ in range(5)], [1] * 5)
        self.assertEqual(self.looks, 1)

    def test_it_looks_when_the_file_has_changed_but_not_more_than_once_a_second(self) -> None:
        self.pulse.newest()
        self.mark = 2
        self.assertEqual(self.pulse.newest()[0], 1)
        self.clock.pass_time(SECOND)
        self.assertEqual(self.pulse.newest(), (2, b'event: look\ndata: {"look": 2}\n\n'))
        self.clock.pass_time(SECOND)
        self.assertEqual(self.pulse.newest()[0], 2)

    def test_it_looks_every_five_seconds_for_what_time_alone_changes(self) -> None:
        self.pulse.newest()
        self.clock.pass_time(5 * SECOND)
        self.assertEqual(self.pulse.newest()[0], 2)

    def test_after_a_long_look_it_rests(self) -> None:
        self.pulse = Pulse(lambda: self.clock.pass_time(2 * SECOND), lambda: None, self.clock)
        self.pulse.newest()
        self.clock.pass_time(19 * SECOND)
        self.assertEqual(self.pulse.newest()[0], 1)
        self.clock.pass_time(SECOND)
        self.assertEqual(self.pulse.newest()[0], 2)

    def test_trouble_with_the_file_is_told(self) -> None:
        def fail() -> object:
            raise DatabaseError("it is gone\nfor good")

        name, data = Pulse(fail, self.marks, self.clock).newest()[1].decode().strip().split("\n")
        self.assertEqual((name, json.loads(data[6:])), ("event: trouble", {"error": "it is gone\nfor good"}))

    def test_there_are_not_too_many_watchers(self) -> None:
        watchers = Watchers(self.pulse)
        streams = [watchers.admit() for _ in range(MOST_WATCHERS)]
        self.assertIsNone(watchers.admit())
        for stream in streams:
            assert stream is not None
            stream.close()
            stream.close()
        again = [watchers.admit() for _ in range(MOST_WATCHERS + 1)]
        self.assertEqual([stream is None for stream in again], [False] * MOST_WATCHERS + [True])

    def test_a_stream_ends_so_that_nobody_watches_for_ever(self) -> None:
        stream = Watchers(self.pulse).admit()
        assert stream is not None
        self.assertEqual(len(list(stream)), 120)  # one every five seconds, ten minutes long

    def test_a_commit_changes_the_marks(self) -> None:
        path = str(folder_for(self) / "jobs.db")
        with Queue(path, durability="normal") as queue:
            queue.enqueue("app:task")
            before = marks(path)
            queue.enqueue("app:task")
            self.assertNotEqual(marks(path), before)
        self.assertIsNone(marks(":memory:"))


def mounted(app: WSGIApplication, prefix: str) -> WSGIApplication:
    """The application below a prefix of somebody's own."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = prefix
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(prefix)
        return app(environ, start_response)

    return serve


class Served:
    """A dashboard on a free port."""

    def __init__(self, test: unittest.TestCase, *, free_reading: bool = True, prefix: str = "") -> None:
        self.path = str(folder_for(test, in_memory=True) / "jobs.db")
        self.queue = Queue(self.path, durability="normal")
        test.addCleanup(self.queue.close)
        self.job = self.queue.enqueue("app:first")
        guard = Guard(TOKEN, LOOPBACK, free_reading=free_reading)
        app = mounted(Dashboard(FileSource(self.path, SystemClock()), guard), prefix)
        self.server = Server("127.0.0.1", 0, app)
        test.addCleanup(self.server.server_close)
        thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        thread.start()
        test.addCleanup(thread.join, PATIENCE_SECONDS)
        test.addCleanup(self.server.shutdown)
        self.url = self.server.url.rstrip("/") + f"{prefix}/"

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=PATIENCE_SECONDS)

    def watch(self, test: unittest.TestCase) -> Callable[[], Any]:
        """Begin to watch; what is returned gives the next event's data."""
        connection = self.connection()
        test.addCleanup(connection.close)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        test.addCleanup(answer.close)
        test.assertEqual(
            (answer.status, answer.headers["Content-Type"]), (200, "text/event-stream; charset=utf-8")
        )

        def following() -> Any:
            while not (line := answer.readline()).startswith(b"data: "):
                test.assertTrue(line, "the stream has ended")
            return json.loads(line[6:])

        return following


class TestServer(unittest.TestCase):
    def setUp(self) -> None:
        self.served = Served(self)

    def test_a_change_is_told_to_who_watches(self) -> None:
        following = self.served.watch(self)
        self.assertEqual(following()["queues"][0]["counts"]["ready"], 1)
        self.served.queue.enqueue("app:second")
        while following()["queues"][0]["counts"]["ready"] != 2:
            pass  # an event that was on its way

    def test_who_watches_and_takes_nothing_keeps_nobody_from_emptying_the_log(self) -> None:
        self.served.watch(self)()
        with sqlite3.connect(self.served.path) as connection:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.close()
        self.assertEqual(busy, 0)

    def test_it_answers_and_acts(self) -> None:
        connection = self.served.connection()
        self.addCleanup(connection.close)
        body = json.dumps({"verb": "cancel", "job": self.served.job.id})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        connection.request("POST", "/actions", body, headers)
        self.assertEqual(connection.getresponse().status, 200)
        self.assertEqual(self.served.job.refresh().state, "cancelled")

    def test_who_sends_rubbish_or_nothing_is_no_news(self) -> None:
        for text in (
            b"",
            b"\r\n",
            b"GET\r\n\r\n",
            b"\xff" * 100 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n",
        ):
            with socket.create_connection(("127.0.0.1", self.served.server.server_port)) as client:
                client.sendall(text)
        connection = self.served.connection()
        self.addCleanup(connection.close)
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b""))

    def test_it_takes_on_no_more_than_it_can_answer(self) -> None:
        with mock.patch("litequeue.web.server._MOST_REQUESTS", 1):
            served = Served(self)
        with socket.create_connection(("127.0.0.1", served.server.server_port)) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\n")
            with socket.create_connection(("127.0.0.1", served.server.server_port)) as second:
                second.settimeout(PATIENCE_SECONDS)
                self.assertEqual(second.recv(1), b"")
        status = None
        while status != 200:  # the place is free a moment after the first has gone
            connection = served.connection()
            self.addCleanup(connection.close)
            with suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/")
                status = connection.getresponse().status

    def test_it_binds_the_newer_addresses(self) -> None:
        try:
            server = Server("::1", 0, lambda *_: [])
        except InvalidOption as error:
            self.skipTest(f"no such address here: {error}")
        self.addCleanup(server.server_close)
        self.assertEqual(server.url, f"http://[::1]:{server.server_port}/")


class TestCommand(unittest.TestCase):
    def said(self, *options: str) -> str:
        """What the command says before it serves."""
        path = str(folder_for(self) / "jobs.db")
        with Queue(path) as queue:
            queue.pause()
        out, err = Paper(), Paper()
        with mock.patch.object(Server, "serve_forever", side_effect=KeyboardInterrupt):
            code = run(
                ["dashboard", path, "--port", "0", *options], Terminal(out, err, Paper(), SystemClock())
            )
        self.assertEqual((code, err.getvalue()), (0, ""))
        return out.getvalue()

    def test_it_says_where_it_is_and_the_token_never_in_what_a_browser_sends(self) -> None:
        said = self.said()
        self.assertRegex(said, r"\Ahttp://127\.0\.0\.1:\d+/  \(Ctrl-C ends it\)\ntoken: [\w-]{32}\n")
        token = said.partition("token: ")[2].partition("\n")[0]
        self.assertRegex(said, rf"to act, .*http://127\.0\.0\.1:\d+/#token={token}\n")
        self.assertIn("to look and act", self.said("--host", "0.0.0.0"))

    def test_a_token_that_was_given_is_not_said(self) -> None:
        self.assertNotIn(TOKEN, self.said("--token", TOKEN))
        with mock.patch.dict("os.environ", LITEQUEUE_TOKEN=TOKEN):
            self.assertIn("that you gave", self.said())

    def test_reading_is_free_on_this_machine_only(self) -> None:
        for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
            self.assertTrue(guard_of(host, [], TOKEN).free_reading, host)
        for host in ("0.0.0.0", "::", "", "10.0.0.1", "box.example"):
            self.assertFalse(guard_of(host, [], TOKEN).free_reading, host)
            self.assertEqual(guard_of(host, [], TOKEN).any_address, host in ("0.0.0.0", "::", ""), host)
        self.assertIn("jobs.example", guard_of("127.0.0.1", ["Jobs.example"], TOKEN).hosts or ())

    def test_a_port_in_use_is_misuse(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, self.assertRaises(InvalidOption):
            Server("127.0.0.1", taken.getsockname()[1], lambda *_: [])
        with self.assertRaises(InvalidOption):
            Server("127.0.0.1", 70_000, lambda *_: [])
