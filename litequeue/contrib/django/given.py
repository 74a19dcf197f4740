"""What OPTIONS of the TASKS setting say: which file, how it is kept, and how its jobs are run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from ...errors import InvalidOption
from ...options import checked
from ...queue import Queue

OF_THE_QUEUE = frozenset({"durability", "lease", "retention", "max_payload"})
OF_THE_JOBS = frozenset({"retry", "timeout", "max_crashes"})


@dataclass(frozen=True)
class Given:
    """The checked OPTIONS. The file is at a path of its own, or the one of a database of Django's."""

    path: str | None
    database: str  # its name, where there is no path
    of_queue: tuple[tuple[str, Any], ...]
    of_jobs: tuple[tuple[str, Any], ...]

    def place(self) -> str:
        """The path of the file. Raises `ImproperlyConfigured` where the database has none."""
        return place_of(self.database) if self.path is None else self.path

    def queue(self) -> Queue:
        """The queue that all backends of this process share that were given the same."""
        return _shared(self.place(), self.of_queue)

    def own_queue(self) -> Queue:
        """A queue that nobody else has."""
        return Queue(self.place(), **dict(self.of_queue))


def given(options: Mapping[str, Any]) -> Given:
    """The OPTIONS, checked. Raises `ImproperlyConfigured` that says what is wrong with them."""
    known = {"path", "database", *OF_THE_QUEUE, *OF_THE_JOBS}
    for name in options:
        if name not in known:
            raise ImproperlyConfigured(f"OPTIONS has no {name!r}; the names are {', '.join(sorted(known))}")
    if ("path" in options) == ("database" in options):
        raise ImproperlyConfigured(
            'OPTIONS needs either "path", the path of the file, or "database", the name in DATABASES of a '
            "SQLite database to keep the jobs in"
        )
    try:
        return _checked(options)
    except InvalidOption as error:
        raise ImproperlyConfigured(f"OPTIONS: {error}") from error


def _checked(options: Mapping[str, Any]) -> Given:
    of_queue, of_jobs = _part(options, OF_THE_QUEUE), _part(options, OF_THE_JOBS)
    checked(dict(of_jobs))
    if options.get("retention") == 0:
        raise InvalidOption("retention is 0, so nobody could read a result; give the seconds to keep it")
    path = Queue(options.get("path", "of the database"), **dict(of_queue)).path  # opens nothing
    return Given(path if "path" in options else None, options.get("database", ""), of_queue, of_jobs)


def _part(options: Mapping[str, Any], names: frozenset[str]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, options[name]) for name in sorted(names & options.keys()))


def place_of(database: str) -> str:
    """The path of a database of Django's. Raises `ImproperlyConfigured` where it is no SQLite file."""
    try:
        connection = connections[database]
    except ConnectionDoesNotExist as error:
        raise ImproperlyConfigured(f'OPTIONS: "database" is {database!r}, which DATABASES has not') from error
    if connection.vendor != "sqlite":
        raise ImproperlyConfigured(f'OPTIONS: "database" is {database!r}, which is no SQLite database')
    if connection.is_in_memory_db():
        raise ImproperlyConfigured(
            f'OPTIONS: "database" is {database!r}, which is in memory, where no worker could find the jobs; '
            'in tests give it a file: DATABASES[…]["TEST"] = {"NAME": …}'
        )
    return str(connection.settings_dict["NAME"])


@cache
def _shared(path: str, of_queue: tuple[tuple[str, Any], ...]) -> Queue:
    """Django makes a backend for each thread; a file opened by each would be opened for each request."""
    return Queue(path, **dict(of_queue))
