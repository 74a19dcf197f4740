"""The locks beside the database: a queue of writers, and a sign of life per worker."""

from __future__ import annotations

import os
import threading
import unittest
from unittest import mock

from litequeue import errors
from litequeue.job import NewWorker, State, Want
from litequeue.storage import sidefile
from litequeue.storage.reports import Reports
from litequeue.storage.sidefile import SideFile, open_side_file
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
from litequeue.testing import HandClock
from tests.storage.files import FileCase
from tests.support import PATIENCE_SECONDS, Program

HOLD = """
import sys
from litequeue.storage.sidefile import SideFile
side = SideFile(sys.argv[1])
side.hold(7)
print("held", flush=True)
sys.stdin.readline()
"""


@unittest.skipUnless(sidefile.supported(), "this system has no locks of this kind")
class TestLocks(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.lock_path = str(self.folder / "jobs.db-lock")

    def side(self) -> SideFile:
        side = SideFile(self.lock_path)
        self.addCleanup(side.close)
        return side

    def test_a_sign_of_life_is_seen_by_others(self) -> None:
        mine, other = self.side(), self.side()
        self.assertFalse(other.is_held(7))
        mine.hold(7)
        self.assertEqual([side.is_held(7) for side in (mine, other)], [True, True])
        self.assertFalse(other.is_held(8))
        mine.release(7)
        self.assertEqual([side.is_held(7) for side in (mine, other)], [False, False])

    def test_a_worker_that_can_not_be_has_no_place(self) -> None:
        side = self.side()
        for id in (-(1 << 20), -1, 0, 2**63 - 1, -(2**63)):
            self.assertFalse(side.is_held(id))
            with self.assertRaises(errors.DatabaseDamaged):
                side.hold(id)

    def test_it_ends_with_its_process(self) -> None:
        program = Program(self, HOLD, self.lock_path)
        program.hear()
        side = self.side()
        self.assertTrue(side.is_held(7))
        program.kill()
        self.assertFalse(side.is_held(7))

    def test_it_outlives_another_descriptor_of_the_file(self) -> None:
        mine, other = self.side(), self.side()
        mine.hold(7)
        SideFile(self.lock_path).close()
        with open(self.lock_path):
            pass
        self.assertTrue(other.is_held(7))

    def test_two_can_not_hold_one_place(self) -> None:
        self.side().hold(7)
        other = self.side()
        with self.assertRaisesRegex(errors.DatabaseBusy, "holds the place of worker 7"):
            other.hold(7)

    def test_writers_take_turns(self) -> None:
        first, second = self.side(), self.side()
        entered = threading.Event()

        def lead() -> None:
            thread.start()
            self.assertFalse(entered.wait(0.05))

        thread = threading.Thread(target=lambda: second.in_turn(entered.set), daemon=True)
        first.in_turn(lead)
        self.assertTrue(entered.wait(PATIENCE_SECONDS))
        thread.join(PATIENCE_SECONDS)
        self.assertEqual(first.in_turn(lambda: 1), 1)

    def test_a_planted_link_is_refused(self) -> None:
        victim = self.folder / "victim"
        os.symlink(victim, self.lock_path)
        with self.assertRaisesRegex(errors.DatabaseError, "the file for locks can not be opened"):
            open_side_file(self.lock_path)
        self.assertFalse(victim.exists())

    def test_where_it_can_not_be_made_there_is_none(self) -> None:
        self.assertIsNone(open_side_file(self.lock_path, read_only=True))
        for error in (PermissionError(13, "no"), OSError(30, "read-only")):
            with mock.patch.object(sidefile, "SideFile", side_effect=error):
                self.assertIsNone(open_side_file(self.lock_path))
        with mock.patch.object(sidefile, "supported", lambda: False):
            self.assertIsNone(open_side_file(self.lock_path))


class TestWorkers(FileCase):
    """A worker's lock, as the verbs use it."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = HandClock()
        self.workers = Workers(self.open(), self.clock)
        self.others = Workers(self.open(), self.clock)

    def alive(self) -> list[bool]:
        return [self.others.is_alive(worker) for worker in Reports(self.others.database).workers()]

    @unittest.skipUnless(sidefile.supported(), "this system has no locks of this kind")
    def test_a_worker_that_let_go_of_its_lock_is_dead(self) -> None:
        worker = self.workers.sign_on(NewWorker("w", 1))
        self.assertEqual(self.alive(), [True])
        side = self.workers.database.side
        assert side is not None
        side.release(worker)
        self.assertEqual(self.alive(), [False])
        self.others.reap()
        self.assertEqual(self.alive(), [])

    def test_without_locks_the_lease_decides(self) -> None:
        self.workers.sign_on(NewWorker("w", 1, lease=1_000_000), locked=False)
        self.assertEqual(self.alive(), [True])
        self.clock.advance(1)
        self.assertEqual(self.alive(), [False])

    def test_a_lock_on_another_side_file_is_not_asked(self) -> None:
        self.workers.sign_on(NewWorker("w", 1))
        (self.folder / "jobs.db-lock").unlink()
        self.others = Workers(self.open(), self.clock)
        self.assertEqual(self.alive(), [True])
        self.clock.advance(30)
        self.assertEqual(self.alive(), [False])

    @unittest.skipUnless(sidefile.supported(), "this system has no locks of this kind")
    def test_a_sign_on_that_is_rolled_back_leaves_no_lock(self) -> None:
        gone = mock.patch.object(
            self.workers.database.files, "confirm", side_effect=errors.FileReplaced("gone")
        )
        with gone, self.assertRaises(errors.FileReplaced):
            self.workers.sign_on(NewWorker("w", 1))
        side = self.others.database.side
        assert side is not None
        self.assertFalse(side.is_held(1))

    def test_jobs_without_a_worker_are_returned(self) -> None:
        store = Store(self.workers.database, self.clock)
        self.enqueue(store, 2)
        worker = self.workers.sign_on(NewWorker("w", 1))
        store.claim(worker, [Want("default", 1, 2)])
        store.database.write(lambda c: c.execute("DELETE FROM litequeue_worker").rowcount)
        self.assertEqual(self.others.reap(), 2)
        jobs = [Reports(store.database).job(id) for id in (1, 2)]
        self.assertEqual([(job.state, job.crashes) for job in jobs], [(State.READY, 1), (State.READY, 0)])
        self.assertEqual(self.others.reap(), 0)
