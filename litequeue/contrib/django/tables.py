"""The tables of the queue in a database of Django's, which can not be made inside a transaction there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from ...errors import DatabaseError
from ...storage.database import Database
from .backend import LiteQueueBackend
from .framework import task_backends
from .sharing import transaction_of


def make(using: str, **_: Any) -> None:
    """Make or upgrade them, once Django has migrated this database."""
    for backend in _backends_in(using):
        if transaction_of(backend.given) is None:
            with backend.given.own_queue() as queue:
                queue.counts()


def missing(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """What `manage.py check --database NAME` says of a database without them; changes nothing."""
    return [problem for name in databases or () for problem in _missing_in(name)]


def _missing_in(database: str) -> Iterator[checks.CheckMessage]:
    for backend in _backends_in(database):
        try:
            Database(backend.given.place(), read_only=True).close()
        except DatabaseError as error:
            yield checks.Warning(
                f"TASKS[{backend.alias!r}]: no Task can be enqueued inside a transaction yet: {error}",
                "`manage.py migrate` makes and upgrades the tables of the queue.",
                id="litequeue.W004",
            )


def _backends_in(database: str) -> Iterator[LiteQueueBackend]:
    """The backends that keep their jobs in this database, if it has a file: in tests it may be in memory."""
    connection = connections[database]
    if connection.vendor != "sqlite" or connection.is_in_memory_db():
        return
    for backend in task_backends.all():
        if isinstance(backend, LiteQueueBackend) and _is_in(backend, database):
            yield backend


def _is_in(backend: LiteQueueBackend, database: str) -> bool:
    try:
        return backend.given.database == database
    except ImproperlyConfigured:
        return False  # its own check tells why
