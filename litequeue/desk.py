"""What the faces of one queue share: its file, as the rooms of the storage see it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any

from .clock import Clock
from .codec import Codec, reader
from .storage.care import Care
from .storage.database import Database
from .storage.minutes import Minutes
from .storage.reports import Reports
from .storage.schedules import Schedules
from .storage.steps import Steps
from .storage.store import Store
from .storage.workers import Workers
from .tags import Types

if TYPE_CHECKING:
    from .storage.backup import Backup
    from .storage.examination import Examination
    from .storage.logs import Logs
    from .storage.overview import Overview
    from .storage.transfer import Transfer


class Desk:
    """What the handles, tasks and workers of one queue share: the file, seen through its rooms."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        codec: Codec,
        types_of: Callable[[str], Types],
        rng: Random | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.codec = codec
        self.types_of = types_of
        self.rng = rng  # what waits between tries are drawn from; each worker's own chance if None
        self.store = Store(database, clock)
        self.reports = Reports(database)
        self.workers = Workers(database, clock)
        self.schedules = Schedules(database, clock)
        self.steps = Steps(database, clock)
        self.minutes = Minutes(database, clock)
        self.care = Care(database, clock)

    @property
    def place(self) -> object:
        """Where its jobs lie: the same for all queues on one file, or on one database in memory."""
        return self.database if self.database.in_memory else self.database.path

    # The rooms below serve people who look after the file: most programs need not wait for their import.

    @cached_property
    def overview(self) -> Overview:
        from .storage.overview import Overview

        return Overview(self.database)

    @cached_property
    def logs(self) -> Logs:
        from .storage.logs import Logs

        return Logs(self.database)

    @cached_property
    def backup(self) -> Backup:
        from .storage.backup import Backup

        return Backup(self.database, self.clock)

    @cached_property
    def transfer(self) -> Transfer:
        from .storage.transfer import Transfer

        return Transfer(self.database, self.clock)

    @cached_property
    def examination(self) -> Examination:
        from .storage.examination import Examination

        return Examination(self.database)

    def decode(self, body: str | bytes, codec: str, task: str) -> Any:
        """The value behind a stored text, with the types that the task names."""
        return reader(self.codec, codec).decode(body, self.types_of(task))
