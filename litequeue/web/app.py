"""The dashboard as a WSGI application: which address shows what, and what becomes of errors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIEnvironment

from .. import metrics
from ..clock import Clock, SystemClock
from ..errors import (
    DatabaseError,
    InvalidOption,
    JobNotFound,
    LiteQueueError,
    NotAllowed,
    ScheduleNotFound,
    shown,
)
from ..log import log
from ..queue import Queue
from . import pages
from .actions import act
from .exchange import Answer, Refused, Request, json_answer
from .guard import SAFE_HEADERS, Guard
from .live import Pulse, Stream, Watchers
from .source import Source, marks, source_of

_SCRIPT = "text/javascript; charset=utf-8"
_STATIC = {
    "/": ("index.html", "text/html; charset=utf-8"),
    **{f"/{name}.js": (f"{name}.js", _SCRIPT) for name in ("app", "elements", "pages", "plots")},
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_JOB = re.compile(r"/data/jobs/([0-9]{1,18})")
_STATUSES: tuple[tuple[type[LiteQueueError], HTTPStatus], ...] = (
    (JobNotFound, HTTPStatus.NOT_FOUND),
    (ScheduleNotFound, HTTPStatus.NOT_FOUND),
    (NotAllowed, HTTPStatus.CONFLICT),
    (InvalidOption, HTTPStatus.BAD_REQUEST),
    (DatabaseError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def dashboard(
    given: str | os.PathLike[str] | Queue,
    *,
    token: str | None,
    hosts: Sequence[str] | None = None,
    free_reading: bool = False,
    clock: Clock | None = None,
) -> Dashboard:
    """The dashboard of a file, or of a queue's file, as a WSGI application to be mounted anywhere.

    Whoever has `token`, 16 characters or more, may look and act; with `free_reading` anybody who reaches it
    may look, and with no token nobody may act. `hosts` are the names under which it may be asked for; None
    leaves that to what serves it. Raises `InvalidOption`.
    """
    if isinstance(hosts, str):
        raise InvalidOption(f"hosts is {shown(hosts)}; give a list of names, [{shown(hosts)}]")
    named = None if hosts is None else frozenset(name.lower() for name in hosts)
    return Dashboard(source_of(given, clock or SystemClock()), Guard(token, named, free_reading))


class Route(NamedTuple):
    """What answers an address, and who may have it answered."""

    check: Callable[[Request], None]
    answer: Callable[[Request], Answer | Stream]


@dataclass(frozen=True)
class _Head:
    """The first part of an answer."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]

    def send(self, start_response: StartResponse) -> None:
        start_response(f"{self.status.value} {self.status.phrase}", [*SAFE_HEADERS, *self.headers])


class Dashboard:
    """The application. It keeps nothing open between two requests but the streams of those who watch."""

    def __init__(self, source: Source, guard: Guard) -> None:
        self._source = source
        self._guard = guard
        self._watchers = Watchers(Pulse(self._overview, partial(marks, source.path), source.clock))
        open_to_all = self._let_in
        self._routes = {
            "GET /data/overview": Route(guard.check_reading, lambda _: json_answer(self._overview())),
            "GET /data/jobs": Route(guard.check_reading, self._jobs),
            "GET /data/errors": Route(guard.check_reading, self._errors),
            "GET /data/schedules": Route(guard.check_reading, self._schedules),
            "GET /metrics": Route(guard.check_reading, self._metrics),
            "GET /events": Route(guard.check_reading, self._watch),
            "GET /session": Route(open_to_all, self._session),
            "POST /session": Route(open_to_all, self._enter),
            "POST /leave": Route(guard.check_writing, self._leave),
            "POST /actions": Route(guard.check_writing, self._act),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        answer = self._answer(request)
        if isinstance(answer, Stream):
            headers = (("Content-Type", "text/event-stream; charset=utf-8"), ("X-Accel-Buffering", "no"))
            _Head(HTTPStatus.OK, headers).send(start_response)
            return answer
        size = ("Content-Length", str(len(answer.body)))
        _Head(answer.status, (("Content-Type", answer.kind), size, *answer.headers)).send(start_response)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [answer.body]

    def _answer(self, request: Request) -> Answer | Stream:
        try:
            self._guard.check_sender(request)
            route = self._find(request)
            route.check(request)
            return route.answer(request)
        except Refused as error:
            return json_answer({"error": str(error)}, error.status, *error.headers)
        except LiteQueueError as error:
            return json_answer({"error": str(error)}, _status_of(error))
        except Exception:
            log.exception("the dashboard could not answer %s %r", request.method, request.path)
            text = "something went wrong here; the log of the dashboard tells what"
            return json_answer({"error": text}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _find(self, request: Request) -> Route:
        """What answers this address. Raises `Refused`."""
        path = request.path
        if request.method == "GET" and path in _STATIC:
            return Route(self._let_in, lambda _: _static(*_STATIC[path]))
        if request.method == "GET" and path == "":
            return Route(self._let_in, _to_the_folder)
        found = _JOB.fullmatch(path)
        if request.method == "GET" and found is not None:
            id = int(found[1])
            return Route(self._guard.check_reading, lambda _: self._job(id))
        route = self._routes.get(f"{request.method} {path}")
        if route is None:
            raise self._refusal(request)
        return route

    def _refusal(self, request: Request) -> Refused:
        paths = {key.partition(" ")[2] for key in self._routes} | _STATIC.keys()
        if request.path in paths or _JOB.fullmatch(request.path):
            return Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method!r:.20} is not answered here")
        return Refused(HTTPStatus.NOT_FOUND, "there is nothing at this address")

    def _let_in(self, request: Request) -> None:
        """Anybody may have the empty page, and show a token."""

    # --- looking -------------------------------------------------------------------------------------

    def _overview(self) -> dict[str, object]:
        with self._source.reading() as desk:
            return pages.overview(desk, self._source.path)

    def _jobs(self, request: Request) -> Answer:
        with self._source.reading() as desk:
            return json_answer(pages.jobs(desk, request.query))

    def _job(self, id: int) -> Answer:
        with self._source.reading() as desk:
            return json_answer(pages.job(desk, id))

    def _errors(self, _: Request) -> Answer:
        with self._source.reading() as desk:
            return json_answer(pages.errors(desk))

    def _schedules(self, _: Request) -> Answer:
        with self._source.reading() as desk:
            return json_answer(pages.schedules(desk))

    def _metrics(self, _: Request) -> Answer:
        with self._source.reading() as desk:
            return Answer(metrics.exposition(metrics.read(desk)).encode(), metrics.CONTENT_TYPE)

    def _watch(self, _: Request) -> Stream:
        stream = self._watchers.admit()
        if stream is None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many watch already; close another page")
        return stream

    # --- acting --------------------------------------------------------------------------------------

    def _session(self, request: Request) -> Answer:
        is_known = self._guard.is_known(request)
        return json_answer(
            {
                "reads": is_known or self._guard.free_reading,
                "acts": is_known,
                "can_enter": self._guard.token is not None,
                "word": self._guard.word(request),
            }
        )

    def _enter(self, request: Request) -> Answer:
        cookie = self._guard.enter(request, request.json().get("token"))
        return json_answer({"done": "enter"}, HTTPStatus.OK, cookie)

    def _leave(self, request: Request) -> Answer:
        return json_answer({"done": "leave"}, HTTPStatus.OK, self._guard.leave(request))

    def _act(self, request: Request) -> Answer:
        asked = request.json()
        with self._source.changing() as desk:
            done = act(desk, asked)
        log.info("dashboard: %s", " ".join(f"{name}={value!r:.80}" for name, value in done.items()))
        return json_answer(done)


def _static(name: str, kind: str) -> Answer:
    return Answer(files(__package__).joinpath("static", name).read_bytes(), kind)


def _to_the_folder(request: Request) -> Answer:
    """Its addresses are relative, so it must be asked for as a folder."""
    place = quote(str(request.environ.get("SCRIPT_NAME", "")).rstrip("/"), encoding="latin-1")
    to = "/" + place.lstrip("/") + "/" if place else "/"
    return Answer(b"", "text/plain", HTTPStatus.PERMANENT_REDIRECT, (("Location", to),))


def _status_of(error: LiteQueueError) -> HTTPStatus:
    found = (status for kind, status in _STATUSES if isinstance(error, kind))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
