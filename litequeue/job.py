"""The records that travel between the floors: what is stored, what was claimed, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .errors import InvalidOption, shown


class State(StrEnum):
    """Where a job is in its life; the last three are final."""

    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})
WAITING = frozenset({State.SCHEDULED, State.BLOCKED, State.READY})


def state_named(name: str) -> State:
    """The state of this name; raises `InvalidOption` with the list of them."""
    try:
        return State(name)
    except ValueError:
        raise InvalidOption(f"{shown(name)} is not a state; the states are {', '.join(State)}") from None


class Parent(NamedTuple):
    """A job that another waits for: one that is stored, or the one at that place of the same enqueue.

    `runs_on`: what must become of it, "success", "failure" or "end". With `passes` its result is handed on.
    """

    id: int | None = None
    place: int | None = None
    runs_on: str = "success"
    passes: bool = False


class Rule(NamedTuple):
    """What a limit allows: jobs at the same time, and starts in any time as long as the period.

    Durations in microseconds; of the starts at most `burst` may come at once, None being all of them.
    """

    max_running: int | None = None
    rate_count: int | None = None
    rate_period: int | None = None
    burst: int | None = None


class Flow(NamedTuple):
    """What decides when one job may run, beyond its due time; only jobs that use some of it have one."""

    unique_key: str | None = None
    unique_for: int | None = None
    on_duplicate: str = "return"
    max_wait: int | None = None
    limit_key: str | None = None
    rule: Rule = Rule()
    parents: tuple[Parent, ...] = ()
    takes: str | None = None
    schedule: str | None = None
    scheduled_for: int | None = None
    only_with: int | None = (
        None  # the place, in the same enqueue, of a job that must be new, or this is left out
    )


class Stored(NamedTuple):
    """The job that an enqueue came to: a new one, or the one that has the same unique key."""

    id: int
    created: bool = True


class NewJobs(NamedTuple):
    """Jobs to be stored that differ only in their payloads; times in microseconds, the rest as JSON text."""

    task: str
    queue: str
    payloads: Sequence[str | bytes]
    codec: str = "json"
    priority: int = 0
    run_at: int | None = None
    expires_at: int | None = None
    retention: int | None = None
    max_crashes: int | None = None
    ack: str | None = None
    tags: str | None = None
    meta: str | None = None
    options: str | None = None
    flow: Flow | None = None


class Lease(NamedTuple):
    """The right to settle one attempt of one job."""

    job: int
    attempt: int


class Claimed(NamedTuple):
    """A job that a worker now owns, with all that is needed to run it."""

    lease: Lease
    task: str
    queue: str
    payload: str | bytes
    codec: str
    priority: int
    failures: int
    crashes: int
    run_at: int
    started: bool
    ack: str | None
    max_crashes: int | None
    meta: str | None
    options: str | None
    scheduled_for: int | None = None
    received: Received | None = None


class Received(NamedTuple):
    """What the parents of a job returned, encoded: its first argument, alone or as a list."""

    is_list: bool
    results: tuple[tuple[str | bytes | None, str | None], ...]


class Failure(NamedTuple):
    """Why an attempt failed, in words and as a traceback."""

    reason: str
    type: str
    message: str
    traceback: str = ""


# --- how an attempt ends: one of these per lease --------------------------------------------------


class Complete(NamedTuple):
    """The task returned. Without `keeps` the job is gone with that, unless others wait or waited for it."""

    lease: Lease
    result: str | bytes | None = None
    codec: str | None = None
    keeps: bool = True


class Fail(NamedTuple):
    """The attempt failed; tried again at `retry_at`, or never when that is None."""

    lease: Lease
    failure: Failure
    retry_at: int | None = None


class Crash(NamedTuple):
    """The child process of an isolated attempt died under it."""

    lease: Lease
    failure: Failure


class Snoozed(NamedTuple):
    """The task asked to be run later; counts as no failure."""

    lease: Lease
    run_at: int


class Release(NamedTuple):
    """Given back unfinished, or never started; costs nothing."""

    lease: Lease


class Cancelled(NamedTuple):
    """The task asked to end as cancelled."""

    lease: Lease
    message: str = ""


Settlement = Complete | Fail | Crash | Snoozed | Release | Cancelled


class Note(NamedTuple):
    """What a running task wants known before it ends; each part is optional."""

    lease: Lease
    progress: float | None = None
    progress_text: str | None = None
    meta: str | None = None
    logs: tuple[tuple[int, str], ...] = ()


class Want(NamedTuple):
    """What a worker would take from one queue, counted together with the wants before it.

    The first `start` of at most `limit` jobs begin at once, the others wait in the worker; of tasks in
    `coroutines` it takes `slots` more, and no more than `total` of all. Tasks in `known` can be run (None:
    any can), those in `refused` can not, of others only the names come back. Parked jobs of tasks in `revive`
    stand in line again. Only `quick` tasks (None: all) may wait. With `job` it takes that one or none.
    """

    queue: str
    start: int
    limit: int
    known: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    coroutines: frozenset[str] = frozenset()
    slots: int = 0
    total: int | None = None
    revive: frozenset[str] = frozenset()
    quick: frozenset[str] | None = None
    job: int | None = None


class Start(NamedTuple):
    """A job that waited in the worker now begins; what its row left open is what its task says."""

    lease: Lease
    ack: str | None = None
    max_crashes: int | None = None


class Claim(NamedTuple):
    """What one claim brought: jobs, and the tasks it met but could not judge; what it parked and ended."""

    jobs: tuple[Claimed, ...] = ()
    unknown: frozenset[str] = frozenset()
    parked: int = 0
    ended: tuple[int, ...] = ()


class Turn(NamedTuple):
    """All that a worker writes in one transaction; `tells` if it wants to hear how that left the jobs."""

    settlements: tuple[Settlement, ...] = ()
    notes: tuple[Note, ...] = ()
    starts: tuple[Start, ...] = ()
    wants: tuple[Want, ...] = ()
    tells: bool = False


class Progress(NamedTuple):
    """What a turn came to: which settlements were accepted, and what was claimed.

    A worker that is no longer signed on was taken for dead: it gets nothing until it signs on again. A turn
    that tells also says what hooks want to know: how attempts ended, and which jobs it claimed or ended.
    """

    accepted: tuple[bool, ...] = ()
    claim: Claim = Claim()
    signed_on: bool = True
    ended: tuple[Ended, ...] = ()
    seen: tuple[Snapshot, ...] = ()


# --- what is read back -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One job as it was when it was read."""

    id: int
    task: str
    queue: str
    state: State
    reason: str | None
    priority: int
    attempt: int
    failures: int
    crashes: int
    max_crashes: int | None
    created_at: int
    run_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    worker: int | None
    cancelling: bool
    parked: bool
    progress: float | None
    progress_text: str | None
    ack: str | None
    tags: str | None
    meta: str | None
    options: str | None
    codec: str
    message: str | None
    unique_key: str | None
    limit_key: str | None
    pending: int
    takes: str | None
    schedule: str | None
    scheduled_for: int | None


class Ended(NamedTuple):
    """How and when an attempt ended, and the job as that left it."""

    settlement: Settlement
    job: Snapshot
    at: int


class StoredResult(NamedTuple):
    """What a job returned, still encoded; no codec means that it returned None."""

    body: str | bytes | None
    codec: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a task logged."""

    attempt: int
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt that failed."""

    attempt: int
    failed_at: int
    reason: str
    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker as its row says; `lease_until` on the monotonic clock of `boot`."""

    id: int
    name: str
    pid: int
    queues: tuple[str, ...]
    threads: int
    started_at: int
    seen_at: int
    boot: str
    lease_until: int
    lock_inode: int | None
    stopping: bool
    running: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a bulk verb or a listing is about; None alone means any. `error` is a type, or a `key`."""

    state: State | None = None
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    created_before: int | None = None
    ended_before: int | None = None
    ids: tuple[int, ...] | None = None
    error: str | None = None


class NewWorker(NamedTuple):
    """A worker that signs on."""

    name: str
    pid: int
    queues: tuple[str, ...] = ()
    threads: int = 1
    lease: int = 30_000_000
