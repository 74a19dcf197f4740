"""The standard library's server, with bounds on what it takes on."""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication

from ..errors import InvalidOption
from ..log import log
from .guard import LOOPBACK

_MOST_REQUESTS = 64
_PATIENCE_SECONDS = 20  # with a client that sends or takes nothing


class Server(ThreadingMixIn, WSGIServer):
    """Serves one application from a thread per request. Raises `InvalidOption` for no usable address."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, app: WSGIApplication) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._places = threading.BoundedSemaphore(_MOST_REQUESTS)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InvalidOption(f"{host}, port {port}: {error}; choose another --host or --port") from error
        self.set_app(app)

    def server_bind(self) -> None:
        """Bind, without asking a name server who we are."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    @property
    def url(self) -> str:
        """Where it is to be found."""
        name = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{name}:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or not at all while there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make place for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was too slow, is no news."""
        log.debug("dashboard: a request of %s was broken off", client_address[0], exc_info=True)


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("dashboard: %s %r", self.client_address[0], format % args)

    def address_string(self) -> str:
        """Who asks, without asking a name server."""
        return str(self.client_address[0])

    def get_stderr(self) -> io.TextIOBase:
        return _Complaints()


class _Complaints(io.TextIOBase):
    """Where the standard library tells what went wrong while it sent an answer."""

    def write(self, text: str) -> int:
        if text.strip():
            log.debug("dashboard: %s", text.strip())
        return len(text)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the address."""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Whether the address stands for all that this machine has."""
    try:
        return host == "" or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def names_of(host: str) -> frozenset[str]:
    """The names under which one asks for the address: its own, and those of this machine."""
    return LOOPBACK | {host.lower()} if is_loopback(host) else frozenset({host, socket.gethostname()} - {""})
