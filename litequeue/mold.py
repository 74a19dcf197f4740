"""What all jobs of one task have in common, prepared once, so that an enqueue only fills in the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from .job import NewJobs
from .options import UNSET, Options


@dataclass(frozen=True, slots=True)
class Mold:
    """The fixed part of a job's row; times in microseconds."""

    task: str
    queue: str
    codec: str
    priority: int
    delay: int
    run_at: int | None
    expires: int | None
    expires_at: int | None
    retention: int | None
    max_crashes: int | None
    ack: str | None
    tags: str | None
    meta: str | None
    options: str | None
    connection: Connection | None

    def cast(self, payloads: Sequence[str | bytes], now: int) -> NewJobs:
        """The jobs for these encoded arguments, enqueued now."""
        return NewJobs(
            self.task,
            self.queue,
            payloads,
            self.codec,
            self.priority,
            now + self.delay if self.delay else self.run_at,
            self.expires_at if self.expires is None else now + self.expires,
            self.retention,
            self.max_crashes,
            self.ack,
            self.tags,
            self.meta,
            self.options,
        )


def make_mold(
    options: Options, declared: Options, *, task: str, queue: str, codec: str, retention: int | None
) -> Mold:
    """The mold for these options; `declared` are those that a worker knows from the task itself."""
    return Mold(
        task=task,
        queue=_or(options.queue, queue),
        codec=codec,
        priority=_or(options.priority, 0),
        delay=_or(options.delay, 0),
        run_at=_or(options.run_at, None),
        expires=_or(options.expires, None),
        expires_at=_or(options.expires_at, None),
        retention=_or(options.retention, retention),
        max_crashes=_or(options.max_crashes, None),
        ack=_or(options.ack, None),
        tags=_or(options.tags, None),
        meta=_or(options.meta, None),
        options=options.stored(declared),
        connection=_or(options.connection, None),
    )


def _or(value: Any, default: Any) -> Any:
    return default if value is UNSET else value
