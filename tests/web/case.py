"""A file and its dashboard, asked without a server: what the tests of the dashboard share."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from litequeue import Queue
from litequeue.options import NO_OPTIONS
from litequeue.tasks import by_name
from litequeue.web.app import Dashboard
from litequeue.web.guard import LOOPBACK, Guard
from litequeue.web.source import FileSource
from tests.cli.case import CommandCase

TOKEN = "a token for the tests"
BEARER = f"Bearer {TOKEN}"
HOST = "127.0.0.1:8765"
ORIGIN = f"http://{HOST}"


@dataclass
class Heard:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def environ(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> dict[str, Any]:
    """What a server would hand to the application."""
    place, _, query = path.partition("?")
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": place,
        "QUERY_STRING": query,
        "HTTP_HOST": HOST,
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        made[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH", "SCRIPT_NAME") else f"HTTP_{key}"] = value
    setup_testing_defaults(made)
    return made


def ask(app: WSGIApplication, made: dict[str, Any]) -> Heard:
    """Have the application answer, watched by the standard library's judge of what WSGI allows."""
    heard = Heard()

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        heard.status, heard.headers = int(status.split(maxsplit=1)[0]), dict(headers)
        return lambda data: None

    parts: Iterable[bytes] = validator(app)(made, start_response)
    try:
        heard.body = b"".join(parts)
    finally:
        parts.close()  # type: ignore[attr-defined]
    return heard


class WebCase(CommandCase):
    """A test with a queue's file and a dashboard for it, as on this machine's own address."""

    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.app = self.dashboard(Guard(TOKEN, LOOPBACK, free_reading=True))

    def dashboard(self, guard: Guard) -> Dashboard:
        """One with other rules."""
        return Dashboard(FileSource(self.file, self.clock), guard)

    def get(self, path: str, app: WSGIApplication | None = None, /, **headers: str) -> Heard:
        """Ask for something."""
        return ask(app or self.app, environ("GET", path, headers))

    def post(self, path: str, given: object, app: WSGIApplication | None = None, /, **headers: str) -> Heard:
        """Send something; headers that are empty are left out."""
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        usual = {"Content_Type": "application/json", "Content_Length": str(len(body))}
        sent = {name: value for name, value in {**usual, **headers}.items() if value}
        return ask(app or self.app, environ("POST", path, sent, body))

    def schedule(self, name: str) -> None:
        """Store a schedule, as a program would."""
        with Queue(self.file, clock=self.clock) as queue:
            queue.schedules.add(name, by_name("app:tidy", queue, NO_OPTIONS).call(), every=3600)

    def act(self, **asked: object) -> Heard:
        """Do something with the token."""
        return self.post("/actions", asked, Authorization=BEARER)
