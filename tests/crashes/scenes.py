"""What power cuts are tried on: scenes from the life of a file. A program, which runs under the shim.

It plays each in a folder, and writes down all that becomes of the files there, with notes between: from here
on these commits, and these jobs, must not be lost.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from litequeue.errors import DatabaseError
from litequeue.job import Complete, Fail, Filter, Release, Snoozed, Start, Turn, Want
from litequeue.storage.gate import Durability
from litequeue.storage.transactions import lent
from tests.crashes.nursery import in_child
from tests.crashes.operations import JOB, graph
from tests.crashes.rig import LARGE, WRONG, Rig, place
from tests.crashes.shim import Deed, Kind, Shim

NEVER = 1 << 40
# How often the keeper looks after the log; with its own measures a scene would need thousands of commits.
COPYING = {"_COMMITS": 12, "_COMMITS_BETWEEN_LOOKS": 4, "_FRAMES": 60, "_COMMITS_BEFORE_ROOM": NEVER}
LAYING_OUT = {**COPYING, "_COMMITS_BEFORE_ROOM": 4}
THREADS, EACH = 3, 12
# What a power cut must not undo once it was acknowledged, and what it may.
PROMISED = {"enqueue", "enqueue_flow", "settle", "cancel", "retry", "delete_all", "pause", "resume", "reap"}
KEPT = {"claim", "prune", "renew", "sign_on", "sign_off"}


class Scene:
    """A file in use, and the record of it."""

    def __init__(self, folder: Path, durability: Durability, shim: Shim) -> None:
        self.folder, self.durability, self.shim = folder, durability, shim
        self.rig = Rig(folder, durability)

    def note(self, **facts: Any) -> None:
        """Say in the record what is true from now on."""
        self.shim.note(json.dumps(facts))

    def open(self) -> None:
        """Open the file; from now on what is acknowledged to this thread is noted."""
        self.rig = Rig(self.folder, self.durability)
        self.rig.open()
        self.note(synced=True)
        for name in PROMISED | KEPT:
            room = self.rig.store if hasattr(self.rig.store, name) else self.rig.workers
            setattr(room, name, self._noted(getattr(room, name), name in PROMISED))

    def _noted(self, verb: Callable[..., Any], is_promised: bool) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            answer = verb(*args, **kwargs)
            if self.rig.database.joined() is None:
                self.note(synced=is_promised)
            return answer

        return noted


def life(scene: Scene) -> None:
    """Jobs of all kinds come, run and go, while the log is copied and begun anew."""
    scene.open()
    rig = scene.rig
    worker = rig.sign_on()
    for number in range(8):
        rig.enqueue(priority=number % 3)
        rig.store.enqueue([JOB._replace(payloads=("[]", LARGE, "[1]"))])
        leases = [job.lease for job in rig.claim(worker, count=3)]
        settlements = (Complete(leases[0], LARGE, "json"), Fail(leases[1], WRONG, rig.now(60)))
        rig.store.take_turn(worker, Turn(settlements, wants=(Want("default", 1, 1),)))
        scene.note(synced=True)
        rig.store.settle(Release(leases[2]) if number % 2 else Snoozed(leases[2], rig.now(60)))
        rig.workers.renew(worker, 60_000_000)
        rig.enqueue("early", ack="early", retention=0)
        (early,) = rig.claim(worker, "early")
        rig.store.start(Start(early.lease, "early"))
        scene.note(synced=True)  # it must not start again
        waiting = rig.enqueue("other")
        rig.store.cancel(waiting)
        if number % 2:
            rig.store.retry(waiting)
        rig.store.pause("other")
        rig.store.resume("other")
        rig.store.delete_all(Filter(queue="other"))
        rig.store.enqueue_flow(graph())
        (parent,) = rig.claim(worker, "graph")
        rig.store.settle(Complete(parent.lease, "[1]", "json") if number % 2 else Fail(parent.lease, WRONG))
        rig.store.prune()
    rig.clock.advance(60)
    rig.workers.reap()
    rig.close()


def long_log(scene: Scene) -> None:
    """Synced commits, for which the log is laid out ahead; it is filled, copied, and filled again."""
    scene.open()
    worker = scene.rig.sign_on()
    for _ in range(12):
        scene.rig.enqueue()
        (job,) = scene.rig.claim(worker)
        scene.rig.store.settle(Complete(job.lease, "[1]", "json"))


def transactions(scene: Scene) -> None:
    """What is written together with the user's rows."""
    scene.open()
    rig = scene.rig
    worker = rig.sign_on()
    with closing(rig.own_connection()) as connection:
        connection.execute("CREATE TABLE ledger (entry TEXT)")
        connection.commit()
        scene.note(synced=True)
        for number in range(5):
            with lent(rig.database) as transaction:
                transaction.execute("INSERT INTO ledger VALUES (?)", (f"lent {number}",))
                rig.store.enqueue([JOB])
            scene.note(synced=True)
            connection.execute("INSERT INTO ledger VALUES (?)", (f"own {number}",))
            rig.store.enqueue([JOB, JOB], connection)
            connection.commit()
            scene.note(synced=True)
            (job,) = rig.claim(worker)
            begun = rig.database.begin()
            with rig.database.joining(begun):
                begun.execute("INSERT INTO ledger VALUES (?)", (f"effect {number}",))
                rig.store.settle_in(begun, Complete(job.lease))
            rig.database.finish(begun, commit=True)
            scene.note(synced=True)


def sessions(scene: Scene) -> None:
    """The file is opened and closed again and again, and the log made and removed."""
    for number in range(5):
        scene.open()
        worker = scene.rig.sign_on()
        scene.rig.enqueue()
        for job in scene.rig.claim(worker):
            scene.rig.store.settle(Complete(job.lease))
        if number % 2:
            scene.rig.database.before_fork()  # closes all connections, too
            scene.rig.database.after_fork()
            with lent(scene.rig.database):
                scene.rig.enqueue()
            scene.note(synced=True)
        scene.rig.close()


def threads(scene: Scene) -> None:
    """Threads enqueue while another claims and settles: their commits are made together."""
    scene.rig.open()
    rig = scene.rig
    worker = rig.sign_on()

    def produce() -> None:
        for _ in range(EACH):
            scene.note(job=rig.enqueue(), state="stored")

    producers = [threading.Thread(target=produce) for _ in range(THREADS)]
    for producer in producers:
        producer.start()
    ended = 0
    while ended < THREADS * EACH:
        jobs = rig.claim(worker, count=4)
        rig.store.take_turn(worker, Turn(tuple(Complete(job.lease) for job in jobs)))
        for job in jobs:
            scene.note(job=job.lease.job, state="completed")
        ended += len(jobs)
    for producer in producers:
        producer.join()


def processes(scene: Scene) -> None:
    """One process has the file open, others enqueue and are killed; the first settles what they left."""
    in_child(lambda say: _make(scene))
    reading, writing = os.pipe()
    opened, is_open = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        _settle_as_told(scene, reading, is_open)
        os._exit(0)
    os.read(opened, 1)
    for _ in range(4):
        in_child(lambda say: _produce(scene))
        os.write(writing, b"!")
    os.close(writing)
    os.waitpid(pid, 0)


def _settle_as_told(scene: Scene, reading: int, is_open: int) -> None:
    scene.rig.open()
    os.write(is_open, b"!")
    while os.read(reading, 1):
        worker = scene.rig.sign_on()
        for job in scene.rig.claim(worker, count=2):
            scene.rig.store.settle(Complete(job.lease))
            scene.note(job=job.lease.job, state="completed")


def _make(scene: Scene) -> None:
    rig = Rig(scene.folder, scene.durability)
    rig.open()
    rig.close()


def _produce(scene: Scene) -> None:
    rig = Rig(scene.folder, scene.durability)
    rig.open()
    for _ in range(3):
        scene.note(job=rig.enqueue(), state="stored")


def failing_syncs(scene: Scene) -> None:
    """One sync fails, and with it goes what the kernel had not written yet; whoever got an error goes on."""
    try:
        scene.open()
    except DatabaseError:
        scene.open()
    rig = scene.rig
    other = rig.own_connection()  # as another program has it: with the last to close, the log would go
    other.execute("SELECT count(*) FROM litequeue_job").fetchall()
    worker = rig.sign_on()

    def run_one() -> None:
        for job in rig.claim(worker):
            rig.store.settle(Complete(job.lease))

    steps: list[Callable[[], object]] = [
        rig.enqueue,
        lambda: rig.workers.renew(worker, 60_000_000),
        run_one,
    ]
    for step in steps * 8:
        try:
            step()
        except DatabaseError:
            scene.note(refused=True)
    other.close()


def left_in_doubt(scene: Scene) -> None:
    """A process dies of a sync that fails; another one goes on with the log that it has left."""
    in_child(lambda say: _live_until_it_fails(scene))
    scene.shim.disarm()
    scene.open()
    for _ in range(4):
        scene.rig.enqueue()


def _live_until_it_fails(scene: Scene) -> None:
    with suppress(DatabaseError):
        scene.open()
        worker = scene.rig.sign_on()
        for _ in range(6):
            scene.rig.enqueue()
            scene.rig.workers.renew(worker, 60_000_000)
    scene.note(refused=True)
    os._exit(0)


SCENES: dict[str, Callable[[Scene], None]] = {
    each.__name__: each
    for each in (life, long_log, transactions, sessions, threads, processes, failing_syncs, left_in_doubt)
}
SYNCS = 30  # about as many as there are in `failing_syncs`


class Play(NamedTuple):
    """One scene as it is played."""

    scene: str
    durability: str = "full"
    fails: int = 0  # the sync that fails, counted from 1

    @property
    def file(self) -> str:
        """The name of its record."""
        return f"{self.scene}-{self.durability}-{self.fails}"


PLAYS = tuple(Play(scene, durability) for scene in SCENES for durability in ("full", "normal"))
FAILING = tuple(Play("failing_syncs", "full", number + 1) for number in range(SYNCS))
LEFT = tuple(Play("left_in_doubt", "full", number) for number in range(4, 12))


def perform(play: Play, folder: Path, records: Path, shim: Shim) -> None:
    """Play a scene in an empty folder, and record it."""
    shim.watch(folder)
    shim.record(os.open(records / play.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    shim.arm(Kind.SYNC, Deed.FAIL, play.fails, errno.EIO)
    measures: dict[str, Any] = LAYING_OUT if play.scene == "long_log" else COPYING
    with mock.patch.multiple("litequeue.storage.checkpoint", **measures):
        SCENES[play.scene](Scene(folder, Durability(play.durability), shim))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.scenes", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("records", type=Path)
    options = parser.parse_args()
    logging.getLogger("litequeue").disabled = True  # it would tell of every sync that fails
    shim = Shim()
    for play in PLAYS + FAILING + LEFT:
        place(options.folder, {})
        ended = in_child(lambda say, play=play: perform(play, options.folder, options.records, shim))  # type: ignore[misc]
        if not ended.is_well:
            print(f"{play}: {ended.how()}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
