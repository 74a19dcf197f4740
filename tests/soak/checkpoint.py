"""A SQLite rebuilt to dawdle where the WAL-reset fault strikes: our rule loses no row, a careless one does.

It takes the C source of an affected SQLite (before 3.51.3), in one file. LITEQUEUE_SQLITE names the folder
that holds `sqlite3.c`, for example from one of

    npm pack better-sqlite3@12.5.0 && tar xzf better-sqlite3-12.5.0.tgz        # package/deps/sqlite3: 3.51.1
    apt-get source sqlite3 && cd sqlite3-*/ && ./configure && make sqlite3.c   # Debian 12: 3.40.1

Four processes enqueue, claim and complete on one file while a fifth copies the log again and again: first as
a program that knows no rule would do it (PASSIVE, at any time), until that is seen to lose a row or to damage
the file; then by our rule, for an hour at full scale, without a finding.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from litequeue.clock import SystemClock
from litequeue.errors import LiteQueueError
from litequeue.job import Complete, NewJobs, NewWorker, Want
from litequeue.storage import checkpoint
from litequeue.storage.checks import broken
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
from tests.repository import ROOT

WRITERS = 4
ROUND_SECONDS = 6.0
BREATH_SECONDS = 0.005
OURS_SECONDS = 3600.0
CARELESS_SECONDS = 60.0  # within these it must be caught, or the window is not open and nothing is proved
# Between reading the header of the log and asking what of it was copied already; there a writer may reset it.
WINDOW = "  pInfo = walCkptInfo(pWal);\n  if( pInfo->nBackfill<pWal->hdr.mxFrame ){"
DELAY = "  { extern int usleep(unsigned); usleep(1500); }\n"
MARK = '#define SQLITE_SOURCE_ID      "'


@dataclass
class Sum:
    """What all rounds of one way of copying counted."""

    rounds: int = 0
    seconds: float = 0.0
    jobs: int = 0
    copies: int = 0
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = textwrap.shorten("; ".join(self.findings), 160) or "no finding"
        done = f"{self.rounds} rounds, {self.seconds:.0f} s, {self.jobs:,} jobs, {self.copies:,} copies"
        return f"{done}: {found}"


def run(scale: float) -> str:
    source = os.environ.get("LITEQUEUE_SQLITE")
    if source is None:
        return "not run: LITEQUEUE_SQLITE names no source of SQLite; see the top of tests/soak/checkpoint.py"
    with tempfile.TemporaryDirectory(prefix="litequeue-sqlite-") as name:
        version = build(Path(source), Path(name))
        careless = storm("passive", Path(name), CARELESS_SECONDS)
        if not careless.findings:
            raise AssertionError(f"SQLite {version}: the careless way was not caught: {careless}")
        ours = storm("ours", Path(name), OURS_SECONDS * scale)
        if ours.findings:
            raise AssertionError(f"SQLite {version}: our way: {ours}")
    return f"SQLite {version}; careless: {careless}; ours: {ours}"


def build(source: Path, folder: Path) -> str:
    """A library with the window held open; the version of its SQLite."""
    text = (source / "sqlite3.c").read_text(encoding="latin-1")
    if text.count(WINDOW) != 1 or text.count(MARK) != 1:
        raise AssertionError(f"{source}: this sqlite3.c is not laid out as expected")
    before, after = WINDOW.split("\n")
    text = text.replace(WINDOW, f"{before}\n{DELAY}{after}").replace(MARK, f"{MARK}window held open, ")
    (folder / "sqlite3.c").write_text(text, encoding="latin-1")
    command = ["cc", "-O2", "-shared", "-fPIC", "-Wl,-soname,libsqlite3.so.0", "-o", "libsqlite3.so.0"]
    subprocess.run([*command, "sqlite3.c", "-ldl", "-lpthread", "-lm"], cwd=folder, check=True)
    return require_window(folder)


def require_window(folder: Path) -> str:
    """The version that a Python which is pointed to the library finds; raises when it uses its own."""
    asked = process(folder, "version")
    version, mark = asked.communicate()[0].split(maxsplit=1)
    if "window held open" not in mark:
        raise AssertionError(f"this Python carries SQLite {version} within itself, and can not use another")
    return version


# --- the storm -----------------------------------------------------------------------------------


def storm(way: str, folder: Path, seconds: float) -> Sum:
    """Rounds on files of their own until the time is over, or something is found."""
    total, end = Sum(), time.monotonic() + seconds
    while time.monotonic() < end and not total.findings:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="litequeue-storm-") as name:
            one_round(way, folder, Path(name) / "jobs.db", total)
        total.rounds += 1
        total.seconds += time.monotonic() - begun
    return total


def one_round(way: str, folder: Path, path: Path, total: Sum) -> None:
    Database(str(path), Durability.NORMAL).close()
    roles = [("write", str(path), way)] * WRITERS + [(way, str(path), "")]
    heard = [json.loads(each.communicate()[0]) for each in [process(folder, *role) for role in roles]]
    for said in heard:
        total.jobs += len(said["done"])
        total.copies += said["copies"]
        total.findings += said["errors"] if way == "ours" else []  # a careless way must harm the file itself
    total.findings += look(path, {id for said in heard for id in said["done"]})


def look(path: Path, done: set[int]) -> list[str]:
    """What is wrong with the file, read with the SQLite that this Python came with."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            findings = [f"{each.says}: {each.rows}" for each in broken(connection)]
            rows = connection.execute("SELECT id FROM litequeue_job WHERE state = 'completed'").fetchall()
        except sqlite3.DatabaseError as error:
            return [f"the file can not be read: {error}"]
    lost = sorted(done - {id for (id,) in rows})
    return findings + ([f"{len(lost)} completed jobs are lost, the first is {lost[0]}"] if lost else [])


def process(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.soak.checkpoint", *arguments]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


# --- in the processes ----------------------------------------------------------------------------


@dataclass
class Deeds:
    """What one process did, told as JSON at its end."""

    done: list[int] = field(default_factory=list)
    copies: int = 0
    errors: list[str] = field(default_factory=list)


def write(path: str, way: str, deeds: Deeds, end: float) -> None:
    """Enqueue, claim and complete; `done` holds what was reported as completed."""
    if way == "ours":
        checkpoint._COMMITS = checkpoint._MOST_COMMITS = 32
    database = Database(path, Durability.NORMAL)
    store, workers = Store(database, SystemClock()), Workers(database, SystemClock())
    worker = workers.sign_on(NewWorker("storm", os.getpid()))
    new = NewJobs("app:task", "default", ("x" * 300,))
    while time.monotonic() < end:
        store.enqueue([new])
        take_breath()
        for claimed in store.claim(worker, [Want("default", 1, 2)]).jobs:
            take_breath()
            store.settle(Complete(claimed.lease))
            deeds.done.append(claimed.lease.job)
        take_breath()
    workers.sign_off(worker)
    database.close()


def take_breath() -> None:
    """Let the log be copied to its end now and then; only after that may a writer begin it anew."""
    time.sleep(random.uniform(0, BREATH_SECONDS))


def copy_as_we_do(path: str, deeds: Deeds, end: float) -> None:
    """Copy the log by our rule, again and again."""
    with closing(Database(path, Durability.NORMAL)) as database:
        assert database._keeper is not None
        while time.monotonic() < end:
            database._keeper._checkpoint(database._writer(Durability.NORMAL))
            deeds.copies += 1
            take_breath()


def copy_carelessly(path: str, deeds: Deeds, end: float) -> None:
    """Copy the log as a program would that never heard of the fault."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        while time.monotonic() < end:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            deeds.copies += 1
            take_breath()


def tell(role: str, path: str, way: str) -> None:
    """Do one thing until the round is over, and say what came of it."""
    logging.getLogger("litequeue").setLevel(logging.ERROR)  # a log that grows is what is to be expected here
    deeds, end = Deeds(), time.monotonic() + ROUND_SECONDS
    try:
        if role == "write":
            write(path, way, deeds, end)
        elif role == "ours":
            copy_as_we_do(path, deeds, end)
        else:
            copy_carelessly(path, deeds, end)
    except (LiteQueueError, sqlite3.Error) as error:
        deeds.errors.append(f"{role}: {type(error).__name__}: {re.sub(r'^.*jobs.db: ', '', str(error))}")
    print(json.dumps(vars(deeds)))


if __name__ == "__main__":
    if sys.argv[1] == "version":
        (source_id,) = sqlite3.connect(":memory:").execute("SELECT sqlite_source_id()").fetchone()
        print(sqlite3.sqlite_version, source_id)
    else:
        tell(*sys.argv[1:])
