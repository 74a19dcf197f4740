"""What messages promise beyond `queue.Queue`: order, leases, settlement, and their place in the file."""

from __future__ import annotations

import asyncio
import pickle
import queue as standard
import sys
import unittest
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from litequeue import PICKLE, Empty, Full, LeaseLost, Message, Messages, Queue, QueueClosed, Retry, ShutDown
from litequeue.errors import DiskFull, EncodingError, InvalidOption, NotAllowed, PayloadTooLarge
from litequeue.messages.aio import AsyncEmpty, AsyncFull, AsyncShutDown
from litequeue.storage.workers import Workers
from tests.messages.case import LaneCase, Later, full_disk
from tests.storage.engines import look_into
from tests.support import PATIENCE_SECONDS
from tests.users.case import QueueCase
from tests.users.things import echo
from tests.worker.case import until

LANE = "messages:inbox"


class MessagesCase(QueueCase):
    """A lane whose time stands still."""

    def setUp(self) -> None:
        super().setUp()
        self.inbox: Messages[Any] = self.queue.messages("inbox")

    def get_all(self) -> list[Any]:
        found = []
        while not self.inbox.empty():
            found.append(self.inbox.get_nowait())
        return found

    def states(self) -> dict[str, int]:
        counts = self.make_queue(LANE).counts()
        return {state: number for state, number in counts.items() if number}


class Order(MessagesCase):
    def test_priority_then_first_come(self) -> None:
        for item, priority in (("a", 0), ("b", 0), ("urgent", 5), ("late", -1), ("c", 0)):
            self.inbox.put(item, priority=priority)
        self.assertEqual(self.get_all(), ["urgent", "a", "b", "c", "late"])

    def test_what_is_delayed_comes_when_it_is_due(self) -> None:
        self.inbox.put("later", delay=60)
        self.assertEqual(self.inbox.qsize(), 1)
        with self.assertRaises(Empty):
            self.inbox.get_nowait()
        self.clock.advance(60)
        self.assertEqual(self.inbox.get_nowait(), "later")

    def test_a_wait_with_a_limit_ends_where_nobody_else_moves_the_clock(self) -> None:
        began = self.clock.now()
        with self.assertRaises(Empty):
            self.inbox.get(timeout=1)
        self.assertEqual(self.clock.now() - began, 1_000_000)
        self.inbox.put("soon", delay=0.5)
        self.assertEqual(self.inbox.get(timeout=1), "soon")
        self.inbox.put("a")
        with self.assertRaises(Full):
            self.queue.messages("inbox", 1).put("b", timeout=1)

    def test_items_come_out_equal(self) -> None:
        items: list[Any] = [None, 1.5, "ü", [1, {"a": (2, 3)}], {1, 2}, b"\x00", Decimal("1.10")]
        items += [timedelta(days=1), datetime(2030, 1, 1, tzinfo=UTC)]
        for item in items:
            self.inbox.put(item)
        self.assertEqual(self.get_all(), items)

    def test_a_shut_one_gives_what_is_ready_and_leaves_the_rest(self) -> None:
        self.inbox.put("later", delay=60)
        self.inbox.put("now")
        self.inbox.shutdown()
        self.assertEqual(list(self.inbox), ["now"])
        self.assertEqual(self.inbox.qsize(), 1)
        self.clock.advance(60)
        self.assertEqual(self.queue.messages("inbox").get_nowait(), "later")

    def test_a_released_one_is_the_first_again(self) -> None:
        for item in "ab":
            self.inbox.put(item)
        self.inbox.claim().release()
        self.assertEqual(self.get_all(), ["a", "b"])


class Refused(MessagesCase):
    def test_what_can_not_be_stored(self) -> None:
        with self.assertRaises(EncodingError):
            self.inbox.put(object())  # type: ignore[arg-type, unused-ignore]
        with self.assertRaises(PayloadTooLarge):
            self.inbox.put("x" * (1 << 20))
        self.assertTrue(self.inbox.empty())

    def test_options(self) -> None:
        for wrong in (1.5, True, "2"):
            with self.subTest(wrong), self.assertRaises(InvalidOption):
                self.queue.messages("inbox", wrong)  # type: ignore[arg-type]
        for name in ("", "x" * 200, "a\nb"):
            with self.subTest(name), self.assertRaises(InvalidOption):
                self.queue.messages(name)
        with self.assertRaises(InvalidOption):
            self.inbox.put(1, priority=1.5)  # type: ignore[arg-type]
        with self.assertRaises(InvalidOption):
            self.inbox.put(1, delay=-1)
        with self.assertRaises(InvalidOption):
            self.queue.messages("inbox", retry=-1)

    def test_errors_are_the_standard_ones_too(self) -> None:
        self.assertTrue(issubclass(Full, standard.Full) and issubclass(Empty, standard.Empty))
        self.assertTrue(issubclass(AsyncFull, asyncio.QueueFull) and issubclass(AsyncFull, Full))
        self.assertTrue(issubclass(AsyncEmpty, asyncio.QueueEmpty) and issubclass(AsyncEmpty, Empty))
        if sys.version_info >= (3, 13):
            self.assertTrue(issubclass(ShutDown, standard.ShutDown))
            self.assertTrue(issubclass(AsyncShutDown, asyncio.QueueShutDown))


class Bounds(MessagesCase):
    def test_only_what_waits_counts(self) -> None:
        small = self.queue.messages("inbox", 2)
        small.put(1)
        small.put(2, delay=60)
        self.assertTrue(small.full())
        with self.assertRaises(Full):
            small.put_nowait(3)
        small.get()
        small.put(3)
        self.assertEqual(small.unfinished_tasks, 3)

    def test_each_object_has_its_own_bound(self) -> None:
        small = self.queue.messages("inbox", 1)
        self.inbox.put(1)
        self.inbox.put(2)
        with self.assertRaises(Full):
            small.put_nowait(3)


class Done(MessagesCase):
    def test_what_is_done_is_gone_at_once(self) -> None:
        self.inbox.put("a")
        self.inbox.get()
        self.inbox.task_done()
        self.assertEqual(self.queue.jobs(queue=LANE), [])
        self.assertEqual(self.inbox.put("b"), 2)  # its number is not given again

    def test_the_oldest_of_this_thread_comes_first(self) -> None:
        ids = [self.inbox.put(item) for item in "abc"]
        self.assertEqual(Later(self.inbox.get).came(), "a")
        self.assertEqual((self.inbox.get(), self.inbox.get()), ("b", "c"))
        left = []
        for _ in ids:
            self.inbox.task_done()
            left.append([job.id for job in reversed(self.queue.jobs(queue=LANE))])
        self.assertEqual(left, [[1, 3], [1], []])  # then those of others
        with self.assertRaises(ValueError):
            self.inbox.task_done()

    def test_a_thread_that_comes_after_another_does_not_end_what_that_left(self) -> None:
        """The system gives the number of a thread that has ended to the next one."""
        left, done = self.inbox.put("a"), self.inbox.put("b")

        def get_and_end() -> str:
            item: str = self.inbox.get()
            self.inbox.task_done()
            return item

        self.assertEqual(Later(self.inbox.get).came(), "a")
        self.assertEqual(Later(get_and_end).came(), "b")
        self.assertEqual([job.id for job in self.queue.jobs(queue=LANE)], [left], f"{done} was done")

    def test_who_lost_it_is_told(self) -> None:
        self.inbox.put("a")
        self.inbox.get()
        (worker,) = self.queue.desk.reports.workers()
        self.queue.desk.workers.sign_off(worker.id)  # as if it had been taken for dead
        with self.assertRaises(LeaseLost):
            self.inbox.task_done()
        self.assertEqual(self.inbox.get(), "a")  # it signs on anew
        self.inbox.task_done()
        self.assertEqual(self.states(), {})


class Settled(MessagesCase):
    def claim(self, item: str = "a", **options: Any) -> Message[Any]:
        self.inbox = self.queue.messages("inbox", **options)
        self.inbox.put(item)
        return self.inbox.claim()

    def test_complete(self) -> None:
        message = self.claim()
        self.assertEqual((message.item, message.attempt, message.failures), ("a", 1, 0))
        message.complete()
        self.assertEqual(self.states(), {})
        with self.assertRaises(LeaseLost):
            message.complete()

    def test_claimed_ones_need_no_task_done(self) -> None:
        self.claim()
        with self.assertRaises(ValueError):
            self.inbox.task_done()

    def test_release_for_a_while(self) -> None:
        self.claim().release(delay=60)
        with self.assertRaises(Empty):
            self.inbox.claim(block=False)
        self.clock.advance(60)
        self.assertEqual(self.inbox.claim(block=False).failures, 0)

    def test_fail(self) -> None:
        message = self.claim()
        message.fail("no such picture")
        job = self.queue.job(message.id)
        self.assertEqual((job.state, job.reason, job.args), ("failed", "rejected", ("a",)))
        self.assertEqual(self.make_queue(LANE).retry(), 1)
        self.assertEqual(self.inbox.get_nowait(), "a")

    def test_a_block_that_ends_well_completes_it(self) -> None:
        with self.claim() as message:
            self.assertEqual(self.states(), {"running": 1})
        self.assertEqual(self.states(), {})
        self.assertEqual(message.id, 1)

    def test_a_block_that_fails_counts_until_no_try_is_left(self) -> None:
        self.inbox = self.queue.messages("inbox", retry=Retry(3, intervals=[10]))
        self.inbox.put("poison")
        for failures in range(3):
            with self.assertRaises(ZeroDivisionError), self.inbox.claim(block=False) as message:
                self.assertEqual(message.failures, failures)
                raise ZeroDivisionError("never")
            with self.assertRaises(Empty):
                self.inbox.claim(block=False)
            self.clock.advance(10)
        job = self.queue.job(message.id)
        self.assertEqual((job.state, job.reason, len(job.errors)), ("failed", "error", 3))
        self.assertIn("never", job.errors[0].traceback)

    def test_a_retry_function_that_fails_ends_it(self) -> None:
        message = self.claim(retry=lambda failures, error: 1 / 0)
        with self.assertLogs("litequeue"), self.assertRaises(KeyError), message:
            raise KeyError
        self.assertEqual(self.states(), {"failed": 1})

    def test_who_is_interrupted_gives_it_back(self) -> None:
        for kind in (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
            with self.subTest(kind), self.assertRaises(kind), self.claim():
                raise kind
            self.assertEqual(self.inbox.claim().failures, 0)

    def test_a_block_may_settle_it_by_itself(self) -> None:
        with self.claim() as message:
            message.release()
        self.assertEqual(self.states(), {"ready": 1})

    def test_one_that_was_cancelled_meanwhile_ends_so(self) -> None:
        message = self.claim()
        self.queue.job(message.id).cancel()
        message.complete()
        self.assertEqual(self.states(), {"cancelled": 1})

    def test_one_that_can_not_be_read_does_not_stand_in_the_way(self) -> None:
        self.make_queue(codec=PICKLE).messages("inbox").put(1)
        self.inbox.put(2)
        with self.assertLogs("litequeue", "ERROR"):
            self.assertEqual(self.inbox.get_nowait(), 2)
        self.assertEqual(self.states(), {"failed": 1, "running": 1})


class Transactions(MessagesCase):
    def test_a_put_is_there_when_it_commits(self) -> None:
        with self.assertRaises(KeyError), self.queue.transaction():
            self.inbox.put("a")
            raise KeyError
        self.assertTrue(self.inbox.empty())
        with self.queue.transaction():
            self.inbox.put("b")
        self.assertEqual(self.inbox.get_nowait(), "b")

    def test_complete_with_what_you_write(self) -> None:
        self.inbox.put("a")
        with self.inbox.claim() as message, self.queue.transaction() as connection:
            connection.execute("CREATE TABLE seen (item)")
            connection.execute("INSERT INTO seen VALUES (?)", (message.item,))
            message.complete()
        self.assertEqual(self.states(), {})
        self.assertEqual(look_into(self.path, "SELECT item FROM seen"), [("a",)])

    def test_what_was_rolled_back_can_be_settled_again(self) -> None:
        self.inbox.put("a")
        with self.inbox.claim() as message:
            with self.assertRaises(KeyError), self.queue.transaction():
                message.complete()
                raise KeyError
            self.assertEqual(self.states(), {"running": 1})
        self.assertEqual(self.states(), {})

    def test_what_a_transaction_could_not_undo_is_refused(self) -> None:
        self.inbox.put("a")
        self.inbox.get()
        with self.queue.transaction():
            for call in (self.inbox.get, self.inbox.claim, self.inbox.task_done, self.inbox.join):
                with self.subTest(call), self.assertRaises(NotAllowed):
                    call()
            small = self.queue.messages("inbox", 1)
            small.put("b")
            with self.assertRaises(Full):
                small.put("c")  # nobody else could make room


class BesideJobs(MessagesCase):
    def test_a_queue_of_the_same_name_is_another(self) -> None:
        inbox = self.make_queue("inbox")
        inbox.enqueue(echo, 1)
        with self.assertRaises(Empty):
            self.inbox.get_nowait()
        self.inbox.put("a")
        self.assertEqual(inbox.drain(), 1)
        self.assertEqual(self.inbox.get_nowait(), "a")

    def test_a_worker_leaves_messages_alone_and_get_leaves_jobs(self) -> None:
        lane = self.make_queue(LANE)
        for item in "abc":
            self.inbox.put(item)
        job = lane.enqueue(echo, 1)
        self.assertEqual(lane.drain(), 1)
        self.assertEqual(job.result(), 1)
        self.assertTrue(self.queue.job(1).snapshot.parked)
        other = lane.enqueue(echo, 2)
        self.inbox.put("first", priority=1)
        self.assertEqual(self.get_all_ready(), ["first", "a", "b", "c"])
        self.assertEqual(other.refresh().state, "ready")

    def get_all_ready(self) -> list[Any]:
        found = []
        while True:
            try:
                found.append(self.inbox.get_nowait())
            except Empty:
                return found

    def test_a_paused_lane_gives_nothing(self) -> None:
        self.inbox.put("a")
        lane = self.make_queue(LANE)
        lane.pause()
        with self.assertRaises(Empty):
            self.inbox.get_nowait()
        lane.resume()
        self.assertEqual(self.inbox.get_nowait(), "a")

    def test_explain_says_who_has_it(self) -> None:
        job = self.queue.job(self.inbox.put("a"))
        self.assertEqual(job.explain(), f"no live process gets messages from {LANE!r}")
        self.inbox.get()
        self.assertRegex(job.explain(), "^worker 1 has it since 2030.*, attempt 1$")
        (worker,) = self.queue.workers()
        self.assertEqual((worker.queues, worker.running), ((LANE,), 1))


class Waiting(LaneCase):
    def setUp(self) -> None:
        super().setUp()
        self.inbox: Messages[Any] = self.queue.messages("inbox", 1)

    def test_a_shutdown_wakes_all_who_wait(self) -> None:
        self.inbox.put("a")
        waiting = [Later(self.inbox.put, "b"), Later(self.inbox.join)]
        empty = self.queue.messages("other")
        waiting.append(Later(empty.get))
        for one in (self.inbox, empty):
            one.shutdown()
        self.assertIsInstance(waiting[0].came(), ShutDown)
        self.assertIsInstance(waiting[2].came(), ShutDown)
        self.assertTrue(waiting[1].is_waiting)  # as in queue.Queue: "a" is not done
        self.assertEqual(list(self.inbox), ["a"])
        self.inbox.task_done()
        self.assertIsNone(waiting[1].came())

    def test_only_this_object_is_shut(self) -> None:
        self.inbox.shutdown()
        for other in (self.queue.messages("inbox"), self.make_queue().messages("inbox")):
            other.put("a")
            self.assertEqual(other.get(), "a")

    def test_at_once_discards_what_waits_for_everybody(self) -> None:
        other = self.make_queue().messages("inbox")
        for item in "abc":
            other.put(item)
        held = other.get()
        join = Later(self.inbox.join)
        self.inbox.shutdown(immediate=True)
        with self.assertRaises(ShutDown):
            self.inbox.get()
        self.assertEqual((held, other.qsize(), other.unfinished_tasks), ("a", 0, 1))
        other.task_done()
        self.assertIsNone(join.came())
        self.assertEqual(self.make_queue(name=LANE).retry(state="cancelled"), 2)
        self.assertEqual((other.get(), other.get()), ("b", "c"))

    def test_iteration_ends_with_the_shutdown(self) -> None:
        inbox = self.queue.messages("inbox")
        reader = Later(list, inbox)
        for item in range(5):
            inbox.put(item)
        while not inbox.empty():
            pass
        inbox.shutdown()
        self.assertEqual(reader.came(), list(range(5)))

    def test_closing_the_queue_gives_back_and_ends_all_waits(self) -> None:
        self.inbox.put("a")
        self.inbox.get()
        self.inbox.put("full")
        empty = self.queue.messages("empty")
        lines = (empty._lane.arrivals, self.inbox._lane.ends, self.inbox._lane.room)
        waiting = [Later(empty.get), Later(self.inbox.join), Later(self.inbox.put, "b")]
        until(lambda: all(line._waiters for line in lines), "their waiting")
        self.queue.close()
        for each in waiting:
            self.assertIsInstance(each.came(), QueueClosed)
        with self.assertRaises(QueueClosed):
            self.inbox.put("b")
        queue = self.make_queue()
        self.assertEqual(queue.messages("inbox").get_nowait(), "a")
        self.assertEqual(queue.job(1).snapshot.crashes, 0)

    def test_a_queue_that_can_not_sign_off_is_closed_all_the_same(self) -> None:
        self.inbox.put("a")
        self.inbox.get()
        waiting = Later(self.inbox.join)
        until(lambda: self.inbox._lane.ends._waiters, "its waiting")
        with mock.patch.object(Workers, "sign_off", side_effect=DiskFull), self.assertRaises(DiskFull):
            self.queue.close()
        self.assertIsInstance(waiting.came(), QueueClosed)
        inbox = self.make_queue().messages("inbox")
        self.assertEqual(inbox.get(timeout=PATIENCE_SECONDS), "a")  # its lock is free

    def test_one_object_serves_many_names_of_a_process(self) -> None:
        got = Later(self.queue.messages("inbox").get)
        self.queue.messages("inbox").put("a")
        self.assertEqual(got.came(), "a")
        self.queue.messages("inbox").task_done()
        self.assertEqual(self.inbox.unfinished_tasks, 0)

    def test_in_memory_between_threads(self) -> None:
        queue = Queue(":memory:")
        self.addCleanup(queue.close)
        small = queue.messages("inbox", 1)
        got = Later(lambda: [small.get() for _ in range(20)])
        for number in range(20):
            small.put(number)
        self.assertEqual(got.came(), list(range(20)))

    def test_a_delayed_one_wakes_who_waits(self) -> None:
        got = Later(self.inbox.get)
        self.inbox.put("a", delay=0.05)
        self.assertEqual(got.came(), "a")

    def test_one_that_could_not_be_completed_comes_back_when_it_is_let_go(self) -> None:
        self.inbox.put("a")
        message = self.inbox.claim()
        with self.assertRaises(DiskFull), full_disk(), message:
            pass
        del message
        self.assertEqual(self.inbox.get(timeout=PATIENCE_SECONDS), "a")

    def test_an_item_whose_end_could_not_be_written_remains_to_be_done(self) -> None:
        self.inbox.put("a")
        self.inbox.get()
        with self.assertRaises(DiskFull), full_disk():
            self.inbox.task_done()
        self.inbox.task_done()
        self.assertEqual(self.inbox.unfinished_tasks, 0)

    def test_they_can_be_sent_to_another_process(self) -> None:
        other = pickle.loads(pickle.dumps(self.inbox))
        self.addCleanup(other._lane.queue.close)
        other.put("a")
        self.assertEqual((other.maxsize, self.inbox.get()), (1, "a"))


if __name__ == "__main__":
    unittest.main()
