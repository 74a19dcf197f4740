"""What is counted by the minute: written at times, summed, read back, and forgotten after a day."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

from litequeue.clock import SECOND
from litequeue.errors import DiskFull
from litequeue.job import State
from litequeue.storage.minutes import KEPT, Minutes
from litequeue.storage.overview import Overview
from litequeue.storage.reports import Reports
from litequeue.testing import HandClock
from litequeue.traffic import MINUTE, Traffic
from tests.storage.engines import look_into
from tests.storage.files import FileCase


class TestMinutes(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = HandClock()
        self.database = self.open()
        self.minutes = Minutes(self.database, self.clock)
        self.overview = Overview(self.database)

    def ran(self, end: str = "completed", queue: str = "default", wait: int = 0, run: int = 0) -> None:
        """An attempt of this queue has just ended."""
        now = self.clock.now()
        self.minutes.count(queue, end, now - wait - run, self.clock.monotonic() - run, run)

    def last_hour(self, queue: str = "default") -> Traffic:
        """What passed through the queue."""
        now = self.clock.now()
        found = {one.name: one for one in self.overview.queues(now - 60 * MINUTE, now + 1)}
        return found[queue].traffic if queue in found else Traffic()

    def test_attempts_are_summed(self) -> None:
        for end in ("completed", "completed", "failed", "retried", "retried", "retried"):
            self.ran(end, wait=2 * SECOND, run=SECOND)
        self.ran(queue="mail")
        self.minutes.write()
        passed = self.last_hour()
        self.assertEqual((passed.completed, passed.failed, passed.retried), (2, 1, 3))
        self.assertEqual((passed.waits.total, passed.runs.total), (6, 6))
        self.assertAlmostEqual(passed.waits.quantile(0.5) or 0, 2 * SECOND, delta=0.2 * SECOND)
        self.assertAlmostEqual(passed.runs.quantile(0.95) or 0, SECOND, delta=0.1 * SECOND)
        self.assertEqual(self.last_hour("mail").completed, 1)

    def test_what_never_began_has_no_times(self) -> None:
        self.minutes.count("default", "failed")
        self.minutes.write()
        self.assertEqual(self.last_hour(), Traffic(failed=1))

    def test_several_writers_add_to_the_same_minute(self) -> None:
        other = Minutes(self.open(), self.clock)
        for each in (self.minutes, other, self.minutes):
            each.count("default", "completed", 0, 0, 5)
            each.write()
        self.assertEqual(self.last_hour().completed, 3)
        self.assertEqual(self.last_hour().runs.total, 3)

    def test_it_writes_once_a_second_and_only_when_there_is_something(self) -> None:
        self.ran()
        self.minutes.write_some()
        self.assertEqual(self.rows(), [])
        self.clock.advance(1)
        self.minutes.write_some()
        self.assertEqual(len(self.rows()), 2)  # the minute, and all there were
        before = self.database.read(lambda c: c.execute("PRAGMA data_version").fetchone())
        self.clock.advance(5)
        self.minutes.write_some()
        self.minutes.write()
        after = self.database.read(lambda c: c.execute("PRAGMA data_version").fetchone())
        self.assertEqual(after, before)

    def test_each_minute_by_itself_oldest_first(self) -> None:
        begun = self.clock.now() // MINUTE * MINUTE
        for _ in range(3):
            self.ran()
            self.minutes.write()
            self.clock.advance(60)
        (queue,) = self.overview.queues(begun, self.clock.now())
        self.assertEqual([each.at - begun for each in queue.minutes], [0, MINUTE, 2 * MINUTE])
        (queue,) = self.overview.queues(begun + 1, begun + 2 * MINUTE)
        self.assertEqual([each.at - begun for each in queue.minutes], [MINUTE])

    def test_a_day_later_it_is_forgotten_but_for_the_sum(self) -> None:
        for _ in range(3):
            self.ran(queue="busy")
            self.ran(queue="silent")
            self.minutes.write()
            self.clock.advance(60)
        self.clock.advance(60 * KEPT - 120)
        self.ran(queue="busy")
        self.minutes.write()
        self.assertEqual([row[:2] for row in self.rows()], self.expected_rows())
        self.assertEqual(self.overview.totals()["busy"].completed, 4)
        self.clock.advance(60 * KEPT + 60)
        self.ran(queue="busy")
        self.minutes.write()
        self.assertEqual({queue: sum.completed for queue, sum in self.overview.totals().items()}, {"busy": 5})

    def expected_rows(self) -> list[tuple[int, str]]:
        """Minutes and queues: of the first three, one is more than a day old."""
        now = self.clock.now() // MINUTE
        kept = [(minute, queue) for minute in (now - KEPT, now - KEPT + 1) for queue in ("busy", "silent")]
        return [(0, "busy"), (0, "silent"), *kept, (now, "busy")]

    def test_a_row_that_was_written_by_hand_does_no_harm(self) -> None:
        minute = self.clock.now() // MINUTE
        self.database.write(
            lambda c: c.execute(
                "INSERT INTO litequeue_minute VALUES (?, 'default', 0, ?, ?, 0, 'nonsense', '[1]')",
                (minute, 2**63 - 1, -(2**63)),
            )
        )
        self.ran(run=SECOND)
        self.minutes.write()
        self.assertGreater(self.last_hour().completed, 1)
        self.assertEqual(self.last_hour().runs.total, 1)

    def test_what_could_not_be_written_is_kept(self) -> None:
        self.ran()

        full = mock.patch.object(self.database, "write", side_effect=DiskFull("no room"))
        with full, self.assertRaises(DiskFull):
            self.minutes.write()
        self.ran()
        self.minutes.write()
        self.assertEqual(self.last_hour().completed, 2)

    def test_a_forked_child_counts_anew(self) -> None:
        self.ran()
        child = os.fork()
        if child == 0:
            self.ran("failed")
            self.minutes.write()
            os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.minutes.write()
        passed = self.last_hour()
        self.assertEqual((passed.completed, passed.failed), (1, 1))

    def rows(self) -> list[tuple[Any, ...]]:
        """All that is stored."""
        return look_into(self.path, "SELECT * FROM litequeue_minute ORDER BY minute, queue")


class TestOverview(FileCase):
    def test_of_an_empty_file(self) -> None:
        overview = Overview(self.open())
        self.assertEqual((overview.queues(0, 10**18), overview.totals()), ([], {}))

    def test_counts_pauses_and_the_oldest(self) -> None:
        store = self.store()
        self.enqueue(store, 3)
        store.pause("later")
        first, later = Overview(store.database).queues(0, 10**18)
        self.assertEqual((first.name, first.paused_at, first.minutes), ("default", None, ()))
        self.assertEqual({state: n for state, n in first.counts.items() if n}, {State.READY: 3})
        self.assertEqual(first.oldest_ready, Reports(store.database).oldest_ready("default"))
        self.assertIsNotNone(later.paused_at)
        self.assertEqual((later.name, later.oldest_ready), ("later", None))
