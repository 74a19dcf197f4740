"""Several processes on one file: races, forks, and workers that are killed or stopped in mid-job."""

from __future__ import annotations

import os
import signal
import threading
import unittest

from litequeue.clock import SECOND, SystemClock
from litequeue.job import Complete, Lease, NewWorker, State, Want
from litequeue.storage import sidefile
from litequeue.storage.reports import Reports
from litequeue.storage.workers import Workers
from tests.storage.files import PRELUDE, FileCase
from tests.support import PATIENCE_SECONDS, Program

# Claims one after the other, settling what is done with the next claim, and tells the ids.
CLAIMANT = """
store = store_at(sys.argv[1])
workers = Workers(store.database, SystemClock())
worker = workers.sign_on(NewWorker("claimant", os.getpid()))
say("ready")
input()
ids, done = [], ()
while True:
    turn = store.take_turn(worker, Turn(settlements=done, wants=(Want("default", 3, 3),)))
    assert all(turn.accepted)
    if not turn.claim.jobs:
        break
    ids += [job.lease.job for job in turn.claim.jobs]
    done = tuple(Complete(job.lease) for job in turn.claim.jobs)
workers.sign_off(worker)
say(*ids)
"""
# Claims one job and waits; told to go on it settles, and tells what came of it.
HOLDER = """
store = store_at(sys.argv[1])
workers = Workers(store.database, SystemClock())
worker = workers.sign_on(NewWorker("holder", os.getpid(), lease=int(sys.argv[2])))
(job,) = store.claim(worker, [Want("default", 1, 1)]).jobs
say(worker)
input()
attempt(lambda: store.settle(Complete(job.lease)))
say(workers.renew(worker, 1))
"""
# Forks inside a transaction, whose locks the child can not do without: it is told so.
FORKER_INSIDE = """
store = store_at(sys.argv[1])
store.enqueue([JOB])
lent = store.database.begin()
joining = store.database.joining(lent)
joining.__enter__()
store.enqueue([JOB])
child = os.fork()
if child == 0:
    attempt(lambda: store.database.finish(lent, commit=True))
    say("joined", store.database.joined())
    attempt(lambda: store.enqueue([JOB]))
    attempt(lambda: Reports(store.database).job(1))
    store.database.close()
    os._exit(0)
os.waitpid(child, 0)
joining.__exit__(None, None, None)
store.database.finish(lent, commit=True)
say("parent", *store.enqueue([JOB]))
"""
# Forks; the parent closes the file, and its child goes on.
FORKER_OUTSIDE = """
store = store_at(sys.argv[1])
workers = Workers(store.database, SystemClock())
worker = workers.sign_on(NewWorker("parent", os.getpid()))
store.enqueue([JOB])
store.is_work_waiting(["default"])
hearing, telling = os.pipe()
child = os.fork()
if child == 0:
    say("child", *store.enqueue([JOB]))
    say("alive", workers.is_alive(Reports(store.database).workers()[0]))
    os.write(telling, b"!")
    sys.stdin.readline()
    say("child", *store.enqueue([JOB] * 3))
    os._exit(0)
os.read(hearing, 1)
say("parent", *store.enqueue([JOB]))
store.database.close()
say("closed")
os.waitpid(child, 0)
"""
# Forks again and again while other threads read and write.
FORKER_AMONG_THREADS = """
store = store_at(sys.argv[1])
running, ids = True, []
def work():
    while running:
        ids.extend(store.enqueue([JOB]))
        store.is_work_waiting(["default"])
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        ok = store.enqueue([JOB]) and Reports(store.database).job(1).id == 1
        os._exit(0 if ok else 1)
    say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
running = False
for thread in threads:
    thread.join(20)
say(len(ids), any(thread.is_alive() for thread in threads))
"""
# A worker that dies, and leaves a child that was forked from it.
LEAVER = """
store = store_at(sys.argv[1])
workers = Workers(store.database, SystemClock())
worker = workers.sign_on(NewWorker("leaver", os.getpid()))
store.claim(worker, [Want("default", 1, 1)])
if os.fork() == 0:
    say("forked", os.getpid())
    signal.pause()
signal.pause()
"""
WRITER = """
store = store_at(sys.argv[1])
say("ready")
input()
for _ in range(150):
    store.enqueue([JOB])
say("done")
"""
# Opens, writes, reads and closes again and again: the last to close has the file to itself for a moment.
VISITOR = """
say("ready")
input()
for _ in range(25):
    store = store_at(sys.argv[1])
    store.enqueue([JOB])
    Reports(store.database).counts("default")
    lent = store.database.begin()
    store.database.finish(lent, commit=True)
    store.database.close()
say("done")
"""


class TestRaces(FileCase):
    def test_processes_that_come_and_go_do_not_disturb_each_other(self) -> None:
        programs = [Program(self, PRELUDE + VISITOR, self.path) for _ in range(4)]
        for program in programs:
            program.hear()
        for program in programs:
            program.tell()
        self.assertEqual([program.hear() for program in programs], ["done"] * 4)
        self.assertEqual(self.stored_ids(), list(range(1, 101)))

    def test_every_job_is_claimed_once(self) -> None:
        store = self.store()
        ids = self.enqueue(store, 1200)
        programs = [Program(self, PRELUDE + CLAIMANT, self.path) for _ in range(4)]
        for program in programs:
            program.hear()
        for program in programs:
            program.tell()
        claimed = [[int(id) for id in program.hear().split()] for program in programs]
        self.assertEqual(sorted(id for each in claimed for id in each), ids)
        for each in claimed:
            self.assertEqual(each, sorted(each))
        self.assertEqual(Reports(store.database).counts("default")[State.COMPLETED], 1200)

    def test_writers_in_processes_and_threads_all_get_their_turn(self) -> None:
        store = self.store()
        programs = [Program(self, PRELUDE + WRITER, self.path) for _ in range(3)]
        for program in programs:
            program.hear()
        for program in programs:
            program.tell()
        for _ in range(150):
            self.enqueue(store)
        self.assertEqual([program.hear() for program in programs], ["done"] * 3)
        self.assertEqual(self.stored_ids(store.database), list(range(1, 601)))


@unittest.skipUnless(hasattr(os, "fork"), "this system does not fork")
class TestForks(FileCase):
    def test_a_child_has_connections_of_its_own(self) -> None:
        program = Program(self, PRELUDE + FORKER_OUTSIDE, self.path)
        self.assertEqual([program.hear() for _ in range(4)], ["child 2", "alive True", "parent 3", "closed"])
        program.tell()
        self.assertEqual(program.hear(), "child 4 5 6")
        self.assertEqual(program.wait(), 0)
        self.assertEqual(self.stored_ids(), [1, 2, 3, 4, 5, 6])

    def test_a_child_that_was_forked_inside_a_transaction_is_told(self) -> None:
        program = Program(self, PRELUDE + FORKER_INSIDE, self.path)
        self.assertRegex(program.hear(), "^DatabaseError .*belongs to the process that forked this one")
        self.assertEqual(program.hear(), "joined None")
        for _ in range(2):
            self.assertRegex(program.hear(), "^DatabaseError .*fork outside of transactions, or use")
        self.assertEqual(program.hear(), "parent 3")
        self.assertEqual(program.wait(), 0)
        self.assertEqual(self.stored_ids(), [1, 2, 3])

    def test_other_threads_may_be_at_work(self) -> None:
        program = Program(self, PRELUDE + FORKER_AMONG_THREADS, self.path)
        self.assertEqual([program.hear() for _ in range(20)], ["0"] * 20)
        count, hanging = program.hear().split()
        self.assertEqual(hanging, "False")
        self.assertEqual(len(self.stored_ids()), int(count) + 20)

    @unittest.skipUnless(sidefile.supported(), "this system has no locks of this kind")
    def test_a_child_does_not_keep_its_parent_alive(self) -> None:
        store = self.store()
        self.enqueue(store)
        program = Program(self, PRELUDE + LEAVER, self.path)
        child = int(program.hear().split()[1])
        self.addCleanup(os.kill, child, signal.SIGKILL)
        workers = Workers(store.database, SystemClock())
        self.assertEqual(workers.reap(), 0)
        program.kill()
        self.assertEqual(workers.reap(), 1)


class TestDeaths(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.jobs = self.store()
        self.workers = Workers(self.jobs.database, SystemClock())
        self.reports = Reports(self.jobs.database)
        self.enqueue(self.jobs)

    def holder(self, lease_seconds: float) -> tuple[Program, int]:
        program = Program(self, PRELUDE + HOLDER, self.path, round(lease_seconds * SECOND))
        return program, int(program.hear())

    def reap_within(self, seconds: float) -> bool:
        """Reap again and again, as workers do, until a job was returned."""
        clock, pause = SystemClock(), threading.Event()
        end = clock.monotonic() + round(seconds * SECOND)
        while not (reaped := self.workers.reap()) and clock.monotonic() < end:
            pause.wait(0.01)
        return reaped == 1

    @unittest.skipUnless(sidefile.supported(), "this system has no locks of this kind")
    def test_the_job_of_a_killed_worker_is_back_within_a_second(self) -> None:
        program, _ = self.holder(lease_seconds=3600)
        self.assertEqual(self.workers.reap(), 0)
        program.kill()
        self.assertTrue(self.reap_within(1))
        job = self.reports.job(1)
        self.assertEqual((job.state, job.crashes, job.worker), (State.READY, 1, None))
        self.assertRegex(self.reports.failures(1)[0].message, rf"holder \(process {program.pid}\)")
        self.assertEqual(self.reports.workers(), [])

    def test_a_stopped_worker_keeps_its_job_until_its_lease_ends(self) -> None:
        program, worker = self.holder(lease_seconds=1.5)
        program.kill(signal.SIGSTOP)
        self.assertEqual(self.workers.reap(), 0)
        (found,) = self.reports.workers()
        self.assertTrue(self.workers.is_alive(found))
        self.assertTrue(self.reap_within(PATIENCE_SECONDS))
        self.assertGreaterEqual(SystemClock().monotonic(), found.lease_until)
        me = self.workers.sign_on(NewWorker("me", os.getpid()))
        self.assertEqual(self.jobs.claim(me, [Want("default", 1, 1)]).jobs[0].lease, Lease(1, 2))
        before = self.reports.job(1)
        program.tell()
        program.kill(signal.SIGCONT)
        self.assertRegex(program.hear(), "^LeaseLost attempt 1 no longer owns job 1")
        self.assertEqual(program.hear(), "False")
        self.assertEqual(self.reports.job(1), before)
        self.jobs.settle(Complete(Lease(1, 2)))
        self.assertNotEqual(me, worker)

    @unittest.skipUnless(sidefile.supported(), "this system has no locks of this kind")
    def test_of_many_reapers_one_returns_the_job(self) -> None:
        program, _ = self.holder(lease_seconds=3600)
        program.kill()
        code = PRELUDE + (
            "workers = Workers(Database(sys.argv[1]), SystemClock())\n"
            "say('ready'); input(); say(workers.reap())"
        )
        reapers = [Program(self, code, self.path) for _ in range(4)]
        for reaper in reapers:
            reaper.hear()
        for reaper in reapers:
            reaper.tell()
        self.assertEqual(sorted(reaper.hear() for reaper in reapers), ["0", "0", "0", "1"])
        self.assertEqual(self.reports.job(1).crashes, 1)

    def test_a_writer_killed_at_any_moment_leaves_a_sound_file(self) -> None:
        code = PRELUDE + "store = store_at(sys.argv[1])\nwhile True: say(*store.enqueue([JOB] * 3))"
        acknowledged: list[int] = []
        for turn in range(6):
            program = Program(self, code, self.path)
            for _ in range(1 + 7 * turn):
                acknowledged += map(int, program.hear().split())
            program.kill()
        stored = self.stored_ids(self.jobs.database)
        self.assertLessEqual(set(acknowledged), set(stored))
        self.assertEqual(len(set(acknowledged)), len(acknowledged))
        self.assertEqual((len(stored) - 1) % 3, 0)
        check = self.jobs.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchall())
        self.assertEqual(check, [("ok",)])
        self.enqueue(self.jobs)
