"""`dashboard`: the file in a browser."""

from __future__ import annotations

import argparse
import os
import secrets
from contextlib import suppress
from typing import Any

from ..web.app import Dashboard
from ..web.guard import LOOPBACK, Guard
from ..web.server import Server, is_everywhere, is_loopback, names_of
from ..web.source import FileSource
from .arguments import DONE, add_command, add_file
from .files import looking
from .terminal import Terminal

_PORT = 8765
_VARIABLE = "LITEQUEUE_TOKEN"
_MORE = f"""
On this machine anybody may look, and whoever has the token may act. Bound to an address that others reach,
it shows nothing without the token; put a server with TLS in front of it. The token is made anew at each
start, unless --token or the variable {_VARIABLE} gives one of at least 16 characters. Ends with Ctrl-C."""


def add(commands: Any) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "dashboard", run_dashboard, "show the file in a browser, live", _MORE)
    add_file(parser)
    parser.add_argument("--host", default="127.0.0.1", help="the address to bind (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=_PORT, help=f"the port (default: {_PORT}; 0: any)")
    parser.add_argument("--token", help="what shall be the token; others on this machine may see it here")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="another name under which one may ask for it, as behind a proxy; may be given again",
    )


def run_dashboard(args: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until Ctrl-C."""
    with looking(args.file, terminal.clock):
        pass  # refuses a file that is missing, or that is somebody else's
    given = args.token or os.environ.get(_VARIABLE)
    token = given or secrets.token_urlsafe(24)
    guard = guard_of(args.host, args.name, token)
    with Server(args.host, args.port, Dashboard(FileSource(args.file, terminal.clock), guard)) as server:
        tell(terminal, server.url, None if given else token, free=guard.free_reading)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return DONE


def guard_of(host: str, names: list[str], token: str) -> Guard:
    """The rules for an address: who reaches it decides who may look."""
    hosts = names_of(host) | {name.lower() for name in names}
    if is_everywhere(host):
        return Guard(token, hosts | LOOPBACK, any_address=True)
    return Guard(token, hosts, free_reading=is_loopback(host))


def tell(terminal: Terminal, url: str, token: str | None, *, free: bool) -> None:
    """Say where it is, and how to act there; what stands behind # no browser sends, so no log holds it."""
    terminal.say(f"{url}  (Ctrl-C ends it)")
    what = "act" if free else "look and act"
    if token is None:
        terminal.say(f"to {what}, sign in with the token that you gave")
    else:
        terminal.say(f"token: {token}")
        terminal.say(f"to {what}, sign in with it, or open {url}#token={token}")
    terminal.flush()
