"""The one place that opens connections."""

from __future__ import annotations

import os
import sqlite3
from sqlite3 import Connection
from urllib.parse import quote

from .rows import readable


def connect(path: str | None, mode: str) -> Connection:
    """A connection in autocommit mode that waits for nobody; `mode` as in SQLite's URIs. None: in memory."""
    return sqlite3.connect(
        ":memory:" if path is None else f"file:{quote(os.fsencode(path))}?mode={mode}",
        uri=path is not None,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def connect_to_draft(path: str) -> Connection:
    """A connection to a file that nobody else knows yet, and that is thrown away if anything goes wrong."""
    connection = connect(path, "rw")
    connection.text_factory = readable
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.execute("PRAGMA journal_mode = OFF").fetchall()
    connection.execute("PRAGMA synchronous = OFF")
    return connection
