"""Other queues: how each is installed, into an environment of its own and never into this one, and driven."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Measure, Subject
from benchmarks.processes import BenchmarkFailed
from benchmarks.redis_server import redis_path

GAP_SECONDS = 0.1  # between two pings: time enough for a worker that polls to sleep again
POLLED = "no worker: our loop, 10 ms sleep when empty"


@dataclass(frozen=True)
class Peer:
    """A queue of somebody else: what to install, how to drive it, and what a reader must know of it."""

    requirement: str
    subject: Subject
    like: str  # the litequeue durability it stands beside
    note: str
    least_python: tuple[int, int] = (3, 11)
    many: bool = False
    enqueued: int = 2_000
    run: int = 2_000


def _other_litequeue(durability: str, note: str) -> Peer:
    subject = Subject("use_other_litequeue", {"durability": durability})
    return Peer("litequeue", subject, durability, f"{POLLED}; {note}", least_python=(3, 12), many=True)


def _on_redis(durability: str, like: str) -> list[Peer]:
    def peer(requirement: str, driver: str, note: str, *, many: bool = False) -> Peer:
        subject = Subject(driver, redis=durability)
        return Peer(requirement, subject, like, note, many=many, enqueued=1_000, run=500)

    return [
        peer("rq", "use_rq", "SimpleWorker, which does not fork", many=True),
        peer("celery[redis]", "use_celery", "prefork pool of one process, acks_late"),
        peer("dramatiq[redis]", "use_dramatiq", "one thread"),
    ]


PEERS = [
    Peer("huey", Subject("use_huey"), "full", "one thread, results off; a job is deleted when it is read"),
    Peer("persist-queue", Subject("use_persistqueue"), "full", f"SQLiteAckQueue; {POLLED}"),
    _other_litequeue("full", "synchronous=FULL set by us"),
    _other_litequeue("normal", "as it comes"),
    *_on_redis("full", "full"),
    *_on_redis("memory", "normal"),
]


@dataclass(frozen=True)
class Entry:
    """A queue, ready to be measured."""

    title: str
    durability: str  # in force, as read from its live connection
    like: str
    note: str
    subject: Subject
    counts: Mapping[Measure, int] = field(default_factory=dict)


def ours(durability: str, place: Path) -> Entry:
    """Return litequeue itself at that durability."""
    subject = Subject("use_litequeue", {"durability": durability, "gap": GAP_SECONDS})
    version, in_force = harness.describe(subject, place)
    counts: dict[Measure, int] = {
        harness.enqueue: 3_000,
        harness.enqueue_many: 20_000,
        harness.run: 10_000,
        harness.wake_up: 100,
    }
    return Entry(
        f"**{version}, {durability}**", in_force, durability, "this project, one thread", subject, counts
    )


def prepare(peer: Peer, place: Path) -> Entry:
    """Install a peer where it is not yet; raise BenchmarkFailed with the reason where that can not be."""
    if peer.subject.redis and redis_path() is None:
        raise BenchmarkFailed("redis-server is not on the PATH")
    settings = {**peer.subject.settings, "gap": GAP_SECONDS}
    subject = replace(peer.subject, python=_install(peer), settings=settings)
    version, durability = harness.describe(subject, place)
    counts: dict[Measure, int] = {harness.enqueue: peer.enqueued, harness.run: peer.run, harness.wake_up: 100}
    if peer.many:
        counts[harness.enqueue_many] = peer.enqueued
    return Entry(version, durability, peer.like, peer.note, subject, counts)


def _install(peer: Peer) -> str:
    """Return the interpreter of the peer's own environment; make the environment where there is none yet."""
    base = _python(peer.least_python)
    home = _cache() / f"{peer.requirement.partition('[')[0]}-{Path(base).name}"
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        _run([base, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", peer.requirement])
        done.write_text(peer.requirement)
    return str(python)


def _python(least: tuple[int, int]) -> str:
    if sys.version_info >= least:
        return sys.executable
    names = [f"python{least[0]}.{minor}" for minor in range(least[1], least[1] + 4)]
    for path in filter(None, map(shutil.which, names)):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    raise BenchmarkFailed(f"needs Python {least[0]}.{least[1]}, and none is on the PATH")


def _cache() -> Path:
    """Return where the environments lie: in the user's cache, outside the project."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "litequeue-benchmarks"


def _run(command: Sequence[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BenchmarkFailed(f"could not be installed: {reason}")
