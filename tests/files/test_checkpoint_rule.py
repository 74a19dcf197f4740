"""Where SQLite carries the WAL-reset fault, nothing of ours copies the log while a writer might reset it.

Nor does anything lock the log itself, or we could not open and close it beside SQLite (see `distrust`). Each
connection of ours is watched from below, by the system calls of its process.
"""

from __future__ import annotations

import os
from unittest import mock

from tests.files.watch import Observer, judge
from tests.storage.engines import look_into
from tests.storage.files import FileCase
from tests.support import Program

# All that opens the file, as on a SQLite with the fault, and with a log that is copied every few commits.
OURS = """
import io, os, signal, sqlite3, sys, threading
from contextlib import redirect_stdout
from litequeue import Queue, current_job
from litequeue.__main__ import main
from litequeue.storage import checkpoint, database, opening

opening.carries_reset_fault = database.carries_reset_fault = lambda: True
checkpoint._COMMITS_BETWEEN_LOOKS = checkpoint._COMMITS = checkpoint._MOST_COMMITS = 8
path, durability, end = sys.argv[1:]
queue = Queue(path, durability=durability)

@queue.task
def plain(number):
    return number

@queue.task
def effect(number):
    with current_job().transaction() as connection:
        connection.execute("INSERT INTO mine VALUES (?)", (number,))

def on_threads(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

def produce():
    for number in range(60):
        plain.enqueue(number)

def look():
    for _ in range(20):
        queue.jobs(limit=5), queue.counts()

def command(*words):
    with redirect_stdout(io.StringIO()):
        assert main([words[0], path, *words[1:]]) in (0, 1)

def in_a_child():
    pid = os.fork()
    if pid == 0:
        produce()
        look()
        if durability == "full":
            queue.close()
        os._exit(0)
    produce()
    assert os.waitpid(pid, 0)[1] == 0

def lend():
    with queue.transaction() as connection:
        connection.execute("INSERT INTO mine VALUES (0)")
        effect.enqueue(1)

with queue.transaction() as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS mine (number)")
print("ready", flush=True)
sys.stdin.readline()
if end == "killed":
    while True:
        plain.enqueue(1)
on_threads(produce, produce, look)
for _ in range(20):
    lend()
in_a_child()
queue.worker(threads=2, burst=True).run()
for words in (["info"], ["list"], ["enqueue", "app:x"], ["cancel", "--task", "app:x", "--yes"], ["prune"]):
    command(*words)
print("done", flush=True)
sys.stdin.readline()
if end == "closed":
    queue.close()
if end == "gone":
    os._exit(0)
"""

CARELESS = """
import sqlite3, sys
first, second = (sqlite3.connect(sys.argv[1], isolation_level=None) for _ in range(2))
first.execute("PRAGMA journal_mode = WAL")
first.execute("CREATE TABLE IF NOT EXISTS t (x)")
for _ in range(int(sys.argv[2])):
    first.execute("INSERT INTO t VALUES (zeroblob(8000))")
for statement in sys.argv[3:]:
    second.execute(statement).fetchall()
print("done", flush=True)
sys.stdin.readline()
first.close()
second.close()
"""

LOCKS_THE_LOG = """
import fcntl, sys
with open(f"{sys.argv[1]}-wal", "w+") as log:
    for way in (fcntl.LOCK_EX, fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_UN):
        fcntl.lockf(log, way, 1, 7)
"""


class Watched(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.observer = Observer(self, self.folder, self.path)
        patch = mock.patch.dict(os.environ, self.observer.environment)
        patch.start()
        self.addCleanup(patch.stop)

    def careless(self, commits: int, *statements: str) -> list[str]:
        """What is found about a connection that knows nothing of the rule, and closes last."""
        program = Program(self, CARELESS, self.path, commits, *statements)
        self.assertEqual(program.hear(), "done")
        program.tell()
        self.assertEqual(program.wait(), 0)
        return self.observer.verdict().careless


class TestOurs(Watched):
    def start(self, durability: str, end: str) -> Program:
        program = Program(self, OURS, self.path, durability, end)
        self.assertEqual(program.hear(), "ready")
        program.tell()
        return program

    def end(self, program: Program) -> None:
        program.tell()
        self.assertEqual(program.wait(), 0)

    def test_a_crowd_copies_the_log_only_as_the_writer(self) -> None:
        victim = self.start("normal", "killed")
        programs = [
            self.start(*way) for way in (("full", "closed"), ("normal", "left open"), ("full", "gone"))
        ]
        victim.kill()
        for program in programs:
            self.assertEqual(program.hear(), "done")
        for program in programs:
            self.end(program)
        verdict = self.observer.verdict()
        self.assertEqual((verdict.careless, verdict.log_locks), ([], []))
        self.assertGreater(verdict.as_writer, 100)
        self.assertEqual(look_into(self.path, "PRAGMA integrity_check"), [("ok",)])

    def test_the_last_that_closes_has_the_file_to_itself(self) -> None:
        """SQLite then copies the log by itself, and Python 3.11 has no way to tell it not to."""
        for end, copies in (("gone", False), ("left open", True), ("closed", True)):
            program = self.start("normal", end)
            self.assertEqual(program.hear(), "done")
            before = self.observer.verdict().alone
            self.end(program)
            verdict = self.observer.verdict()
            with self.subTest(end):
                self.assertEqual((verdict.careless, verdict.log_locks), ([], []))
                self.assertEqual(verdict.alone > before, copies)


class TestTheObserver(Watched):
    """It sees what a careless connection does, or it would prove nothing."""

    def test_an_automatic_checkpoint_is_seen(self) -> None:
        self.assertRegex(self.careless(1200)[0], "begins to copy without")

    def test_a_passive_checkpoint_is_seen(self) -> None:
        found = self.careless(5, "PRAGMA wal_checkpoint(PASSIVE)")
        self.assertRegex(found[0], "begins to copy without")
        self.assertRegex(found[1], "writes without")

    def test_a_checkpoint_that_takes_the_lock_too_late_is_seen(self) -> None:
        self.assertRegex(self.careless(5, "PRAGMA wal_checkpoint(TRUNCATE)")[0], "begins to copy without")

    def test_a_lock_on_the_log_is_seen(self) -> None:
        program = Program(self, LOCKS_THE_LOG, self.path)
        self.assertEqual(program.wait(), 0)
        found = [line.split(maxsplit=4)[3:] for line in self.observer.verdict().log_locks]
        self.assertEqual(found, [["lock", "w 7 1"]] * 3)

    def test_a_connection_that_is_alone_is_not_reproached(self) -> None:
        self.assertEqual(self.careless(5), [])

    def test_a_lock_ends_with_any_descriptor_of_its_file(self) -> None:
        lines = ["1 lock s 120 1", "1 lock s 121 1", "1 write d 0 1", "1 free s 0 0", "1 write d 0 1"]
        self.assertEqual([found.partition(":")[0] for found in judge(lines).careless], ["line 5"])

    def test_the_lock_of_another_process_does_not_help(self) -> None:
        self.assertEqual(len(judge(["1 lock s 120 1", "2 write d 0 1"]).careless), 1)
