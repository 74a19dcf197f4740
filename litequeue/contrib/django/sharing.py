"""What jobs share with Django's rows where they lie in one of its databases: the transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import Connection

from django.db import connections

from ...queue import Queue
from ...storage.transactions import through
from .given import Given


def transaction_of(given: Given) -> Connection | None:
    """The connection on which Django has a transaction open on the file of the jobs, if it has.

    Without autocommit one is always open, even if SQLite has not heard of it yet.
    """
    if given.path is not None:
        return None
    database = connections[given.database]
    if database.connection is None and database.settings_dict["AUTOCOMMIT"]:
        return None  # to ask it would open it
    return None if database.get_autocommit() else database.connection


@contextmanager
def reading_through(connection: Connection | None, queue: Queue) -> Iterator[None]:
    """Within the block, what the transaction of this connection has written is read, too."""
    if connection is None:
        yield
        return
    with through(queue.desk_for(connection).database, connection):
        yield
