"""What all jobs of one task have in common, prepared once, so that an enqueue only fills in the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from .job import NewJobs, Rule
from .keys import KeyOption
from .options import UNSET, Numbered, Options, require_partners
from .retention import Kept


@dataclass(frozen=True, slots=True)
class FlowMold:
    """What decides when each job of a task may run, and what runs after it; times in microseconds."""

    unique: KeyOption | None
    unique_for: int | None
    on_duplicate: str
    max_wait: int | None
    key: KeyOption | None
    rule: Rule
    after: tuple[Numbered | int, ...]
    runs_on: str
    on_success: Any
    on_failure: Any


NO_FLOW = FlowMold(None, None, "return", None, None, Rule(), (), "success", None, None)


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
    flow: FlowMold | None

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
    options: Options, declared: Options, *, task: str, queue: str, codec: str, retention: int | Kept | None
) -> Mold:
    """The mold for these options; `declared` are those that a worker knows from the task itself."""
    require_partners(options)
    kept = _or(options.retention, retention)
    if isinstance(kept, Kept):
        kept = kept.binding(_or(options.unique_for, 0))
    return Mold(
        task=task,
        queue=_or(options.queue, queue),
        codec=codec,
        priority=_or(options.priority, 0),
        delay=_or(options.delay, 0),
        run_at=_or(options.run_at, None),
        expires=_or(options.expires, None),
        expires_at=_or(options.expires_at, None),
        retention=None if isinstance(kept, Kept) else kept,
        max_crashes=_or(options.max_crashes, None),
        ack=_or(options.ack, None),
        tags=_or(options.tags, None),
        meta=_or(options.meta, None),
        options=options.stored(declared, kept),
        connection=_or(options.connection, None),
        flow=_flow_mold(options) if any(getattr(options, name) is not UNSET for name in _OF_FLOW) else None,
    )


_OF_FLOW = (
    *("unique", "max_running", "rate", "key", "after", "on_success", "on_failure", "on_parent_failure"),
)


def rule_of(options: Options) -> Rule:
    """What the options about limits allow. Raises `InvalidOption` when one is given that needs another."""
    require_partners(options)
    starts, period = _or(options.rate, (None, None))
    return Rule(_or(options.max_running, None), starts, period, _or(options.burst, None))


def _flow_mold(options: Options) -> FlowMold:
    return FlowMold(
        unique=_or(options.unique, None),
        unique_for=_or(options.unique_for, None),
        on_duplicate=_or(options.on_duplicate, "return"),
        max_wait=_or(options.max_wait, None),
        key=_or(options.key, None),
        rule=rule_of(options),
        after=_or(options.after, ()),
        runs_on="end" if options.on_parent_failure == "run" else "success",
        on_success=_or(options.on_success, None),
        on_failure=_or(options.on_failure, None),
    )


def _or(value: Any, default: Any) -> Any:
    return default if value is UNSET else value
