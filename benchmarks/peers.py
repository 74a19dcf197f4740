"""Other queues: how each is installed, into an environment of its own and never into this one, and driven."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import harness
from benchmarks.environments import interpreter
from benchmarks.harness import Subject
from benchmarks.processes import BenchmarkFailed
from benchmarks.redis_server import redis_path

GAP_SECONDS = 0.1  # between two pings: time enough for a worker that polls to sleep again
POLLED = "no worker: our loop, 10 ms sleep when empty"


@dataclass(frozen=True)
class Counts:
    """How many jobs a sample takes: by the speed of the queue, so that it lasts a second or so."""

    enqueue: int
    run: int
    enqueue_many: int = 0  # 0: the queue has no call for many
    pings: int = 40


@dataclass(frozen=True)
class Peer:
    """A queue of somebody else: what to install, how to drive it, and what a reader must know of it.

    The versions are those that the drivers were written for.
    """

    requirements: str
    subject: Subject
    like: str  # the litequeue durability it stands beside
    note: str
    counts: Counts
    least_python: tuple[int, int] = (3, 11)


def _on_sqlite() -> list[Peer]:
    huey = "one thread, results off; a job is deleted when it is read"
    simple = "a connection that is kept; its watcher claims a message for good before it hands it over"
    return [
        Peer("huey==3.5.4", Subject("use_huey"), "full", huey, Counts(4_000, 3_000)),
        Peer(
            "persist-queue==1.1.0",
            Subject("use_persistqueue"),
            "full",
            f"SQLiteAckQueue; {POLLED}",
            Counts(5_000, 2_000),
        ),
        _other_litequeue("full", "synchronous=FULL set by us", Counts(4_000, 2_000, 30_000)),
        _localqueue("full", "DURABLE", Counts(4_000, 2_000, 100_000)),
        Peer("simplebroker==8.7.2", Subject("use_simplebroker"), "full", simple, Counts(3_000, 3_000)),
        _other_litequeue("normal", "as it comes", Counts(15_000, 4_000, 30_000)),
        _localqueue("normal", "RELAXED, its default", Counts(30_000, 4_000, 100_000)),
        Peer(
            "tinyjobs==0.6.0",
            Subject("use_tinyjobs"),
            "normal",
            "a worker of one slot; has no public call for many",
            Counts(5_000, 2_000),
        ),
    ]


def _other_litequeue(durability: str, note: str, counts: Counts) -> Peer:
    subject = Subject("use_other_litequeue", {"durability": durability})
    return Peer("litequeue==0.14", subject, durability, f"{POLLED}; {note}", counts, least_python=(3, 12))


def _localqueue(durability: str, note: str, counts: Counts) -> Peer:
    subject = Subject("use_localqueue", {"durability": durability})
    slower = "its claims take longer the more jobs wait"
    return Peer("localqueue==1.4.1", subject, durability, f"{note}; {slower}", counts)


def _on_redis(durability: str, like: str) -> list[Peer]:
    def peer(requirements: str, driver: str, note: str, counts: Counts) -> Peer:
        return Peer(requirements, Subject(driver, redis=durability), like, note, counts)

    return [
        peer("rq==3.0.0", "use_rq", "SimpleWorker, which does not fork", Counts(1_500, 300, 8_000)),
        peer(
            "celery[redis]==5.7.0", "use_celery", "prefork pool of one process, acks_late", Counts(1_500, 500)
        ),
        peer("dramatiq[redis]==2.2.1", "use_dramatiq", "one thread", Counts(3_000, 300)),
        # it imports typing_extensions, and does not ask for it
        peer(
            "saq[redis]==0.26.4 typing_extensions",
            "use_saq",
            "asyncio, one job at a time",
            Counts(4_000, 1_000),
        ),
    ]


def peers() -> list[Peer]:
    """Return every peer that is measured, in the order of the page."""
    return [*_on_sqlite(), *_on_redis("full", "full"), *_on_redis("memory", "normal")]


@dataclass(frozen=True)
class Entry:
    """A queue, ready to be measured."""

    title: str
    durability: str  # in force, as read from its live connection
    like: str
    note: str
    subject: Subject
    counts: Counts
    ours: bool = False

    @property
    def key(self) -> str:
        """What tells it from the same queue at another durability."""
        return f"{self.title} ({self.durability})"


def ours(durability: str, place: Path) -> Entry:
    """Return litequeue itself at that durability."""
    subject = Subject("use_litequeue", {"durability": durability, "gap": GAP_SECONDS})
    version, in_force = harness.describe(subject, place)
    counts = Counts(5_000 if durability == "full" else 20_000, 20_000, 100_000)
    return Entry(version, in_force, durability, "this project; one thread", subject, counts, ours=True)


def prepare(peer: Peer, place: Path) -> Entry:
    """Install a peer where it is not yet; raise BenchmarkFailed with the reason where that can not be."""
    if peer.subject.redis and redis_path() is None:
        raise BenchmarkFailed("redis-server is not on the PATH")
    python = interpreter(peer.requirements, peer.least_python)
    settings = {**peer.subject.settings, "gap": GAP_SECONDS}
    subject = replace(peer.subject, python=python, settings=settings)
    version, durability = harness.describe(subject, place)
    return Entry(version, durability, peer.like, peer.note, subject, peer.counts)
