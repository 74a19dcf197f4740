"""What a file is like now, in numbers, as Prometheus reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from .clock import SECOND
from .desk import Desk
from .health import STUCK_SCHEDULE, alarms, log_bytes
from .traffic import QueueReport, Times, Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WORKERS = ("alive", "stopping", "dead")
# From a millisecond to an hour and a quarter, in microseconds, each twice the one before.
EDGES = tuple(1 << power for power in range(10, 33))


@dataclass(frozen=True, slots=True)
class Readings:
    """All numbers, read once; `totals` by queue, `workers` by how they are, `alarms` by kind."""

    at: int
    queues: Sequence[QueueReport]
    totals: Mapping[str, Traffic]
    workers: Mapping[str, int]
    threads: int
    alarms: Mapping[str, int]
    file_bytes: int
    free_bytes: int
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One number; `suffix` follows the name of its family."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one name: what kind they are, and what they say."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def read(desk: Desk) -> Readings:
    """The numbers of the file as it is now."""
    now = desk.clock.now()
    queues = desk.overview.queues(now, now)
    workers = [(worker, desk.workers.is_alive(worker)) for worker in desk.reports.workers()]
    space = desk.care.space()
    return Readings(
        now,
        queues,
        desk.overview.totals(),
        Counter(_how(alive=alive, stopping=bool(worker.stopping)) for worker, alive in workers),
        sum(worker.threads for worker, alive in workers if alive),
        Counter(alarm.kind for alarm in alarms(desk, queues)),
        space.pages * space.page_size,
        space.free * space.page_size,
        log_bytes(desk),
    )


def _how(*, alive: bool, stopping: bool) -> str:
    return "dead" if not alive else "stopping" if stopping else "alive"


def exposition(readings: Readings) -> str:
    """The numbers in the text format of Prometheus, version 0.0.4; it is UTF-8."""
    found = chain(_of_queues(readings), _of_traffic(readings), _of_file(readings))
    return "".join(f"{line}\n" for family in found for line in _lines(family))


# --- what is measured ------------------------------------------------------------------------------


def _of_queues(readings: Readings) -> Iterator[Family]:
    queues = readings.queues
    yield _gauge(
        "litequeue_jobs",
        "Jobs in the file.",
        [
            Sample(count, (("queue", queue.name), ("state", str(state))))
            for queue in queues
            for state, count in queue.counts.items()
        ],
    )
    yield _gauge(
        "litequeue_oldest_ready_age_seconds",
        "How long the oldest ready job has been due; 0 if none is.",
        [Sample(_age(readings.at, queue.oldest_ready), (("queue", queue.name),)) for queue in queues],
    )
    yield _gauge(
        "litequeue_queue_paused",
        "Whether the queue is paused.",
        [Sample(queue.paused_at is not None, (("queue", queue.name),)) for queue in queues],
    )


def _age(now: int, since: int | None) -> float:
    return 0 if since is None else max(0, now - since) / SECOND


def _of_traffic(readings: Readings) -> Iterator[Family]:
    names = sorted({*readings.totals, *(queue.name for queue in readings.queues)})
    passed = [(name, readings.totals.get(name, Traffic())) for name in names]
    yield Family(
        "litequeue_attempts_total",
        "counter",
        "Attempts that ended, by what became of their job.",
        tuple(
            Sample(count, (("queue", name), ("outcome", outcome)))
            for name, traffic in passed
            for outcome, count in _outcomes(traffic)
        ),
    )
    yield _histogram(
        "litequeue_wait_seconds",
        "From when a job was due to its start; the sum is right to 9 %.",
        [(name, traffic.waits) for name, traffic in passed],
    )
    yield _histogram(
        "litequeue_run_seconds",
        "From the start of an attempt to its end; the sum is right to 9 %.",
        [(name, traffic.runs) for name, traffic in passed],
    )


def _outcomes(traffic: Traffic) -> tuple[tuple[str, int], ...]:
    return ("completed", traffic.completed), ("failed", traffic.failed), ("retried", traffic.retried)


def _of_file(readings: Readings) -> Iterator[Family]:
    yield _gauge(
        "litequeue_workers",
        "Workers that signed on and did not sign off.",
        [Sample(readings.workers.get(state, 0), (("state", state),)) for state in WORKERS],
    )
    yield _one("litequeue_worker_threads", "Jobs that the live workers can run at once.", readings.threads)
    overdue = readings.alarms.get(STUCK_SCHEDULE, 0)
    yield _one("litequeue_schedules_overdue", "Schedules due for over a minute that nobody fires.", overdue)
    yield _gauge(
        "litequeue_alarms",
        "What `info` calls unhealthy.",
        [Sample(count, (("kind", kind),)) for kind, count in sorted(readings.alarms.items())],
    )
    yield _one("litequeue_file_bytes", "The file, as SQLite counts its pages.", readings.file_bytes)
    yield _one("litequeue_file_free_bytes", "The part of it that holds nothing.", readings.free_bytes)
    yield _one("litequeue_log_bytes", "The file's write-ahead log.", readings.log_bytes)


def _one(name: str, help: str, value: float) -> Family:
    return _gauge(name, help, [Sample(value)])


def _gauge(name: str, help: str, samples: Iterable[Sample]) -> Family:
    return Family(name, "gauge", help, tuple(samples))


def _histogram(name: str, help: str, measured: Iterable[tuple[str, Times]]) -> Family:
    samples = (sample for queue, times in measured for sample in _buckets(queue, times))
    return Family(name, "histogram", help, tuple(samples))


def _buckets(queue: str, times: Times) -> Iterator[Sample]:
    about = ("queue", queue)
    for edge in EDGES:
        yield Sample(times.below(edge), (about, ("le", _number(edge / SECOND))), "_bucket")
    yield Sample(times.total, (about, ("le", "+Inf")), "_bucket")
    yield Sample(times.sum / SECOND, (about,), "_sum")
    yield Sample(times.total, (about,), "_count")


# --- how it is written -----------------------------------------------------------------------------


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in family.samples:
        yield f"{family.name}{sample.suffix}{_labels(sample.labels)} {_number(sample.value)}"


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    """Labels in braces.

    >>> _labels([("queue", 'a "b"\\n')])
    '{queue="a \\\\"b\\\\"\\\\n"}'
    """
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
