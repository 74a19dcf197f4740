"""One request and its answer, as WSGI has them, within bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import WSGIEnvironment

from ..errors import LiteQueueError

LARGEST_BODY = 16 * 1024
_LONGEST_QUERY = 4_000
_MOST_FIELDS = 20


class Refused(LiteQueueError):
    """A request that is not answered; `status` says why in HTTP's words."""

    def __init__(self, status: HTTPStatus, why: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.status = status
        self.headers = headers
        super().__init__(why)


@dataclass(frozen=True)
class Request:
    """What was asked."""

    environ: WSGIEnvironment

    @property
    def method(self) -> str:
        """GET or POST; what asks only for the head is answered like GET."""
        found = str(self.environ.get("REQUEST_METHOD", "GET"))
        return "GET" if found == "HEAD" else found

    @property
    def path(self) -> str:
        """The path below the place where the dashboard is mounted."""
        return str(self.environ.get("PATH_INFO", ""))

    def header(self, name: str) -> str | None:
        """A header's value."""
        key = name.upper().replace("-", "_")
        return self.environ.get(key if key.startswith("CONTENT_") else f"HTTP_{key}")

    @property
    def query(self) -> dict[str, str]:
        """The fields of the query, those that say nothing among them. Raises `Refused`."""
        text = str(self.environ.get("QUERY_STRING", ""))
        if len(text) > _LONGEST_QUERY:
            raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "the query is too long")
        try:
            fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
            return dict(fields)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the query can not be read: {error}") from error

    def json(self) -> Mapping[str, Any]:
        """The body, which must be a JSON object of a modest size. Raises `Refused`."""
        kind = (self.header("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send a body of application/json")
        try:
            found = json.loads(self.environ["wsgi.input"].read(self._length()))
        except (ValueError, RecursionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
        if not isinstance(found, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
        return found

    def _length(self) -> int:
        text = self.header("Content-Length") or ""
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "say how long the body is, in Content-Length")
        if int(text) > LARGEST_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has {LARGEST_BODY:,} bytes at most")
        return int(text)


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


def json_answer(value: object, status: HTTPStatus = HTTPStatus.OK, *headers: tuple[str, str]) -> Answer:
    """A JSON document."""
    return Answer(json.dumps(value).encode(), status=status, headers=headers)
