"""A Redis server for the length of one round."""

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import BenchmarkFailed, alive, beside

START_SECONDS = 10.0


def redis_path() -> str | None:
    """Return where the redis-server program is, or None."""
    return shutil.which("redis-server")


@contextlib.contextmanager
def redis_server(directory: Path, durability: str) -> Iterator[str]:
    """Run an empty server on a free port; give its address. "full" syncs before it answers."""
    port = _free_port()
    always = ["--appendonly", "yes", "--appendfsync", "always"]
    log = always if durability == "full" else ["--appendonly", "no"]
    where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory)]
    command = [redis_path() or "redis-server", *where, "--save", "", *log]
    with beside(command, directory, os.environ) as process:
        end = time.monotonic() + START_SECONDS
        while not _answers(port):
            alive(process, command)
            if time.monotonic() > end:
                raise BenchmarkFailed("redis-server does not answer")
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as line:
        line.sendall(b"PING\r\n")
        return line.recv(5) == b"+PONG"
    return False
