"""Messages for coroutines: cancelled at any moment they lose nothing, and the loop waits for no disk."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import unittest
from collections import Counter
from collections.abc import Coroutine
from contextlib import closing
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from litequeue import Empty, LeaseLost, NotAllowed, QueueClosed, ShutDown
from litequeue.messages import Message, Messages
from litequeue.messages.aio import AsyncMessages
from litequeue.messages.holding import Taker
from tests.messages.case import LaneCase, Later, full_disk
from tests.support import PATIENCE_SECONDS
from tests.worker.case import until

LOCKED_SECONDS = 0.5
TICK_SECONDS = 0.01


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it, but not for ever."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await coroutine

    asyncio.run(bounded())


class AioCase(LaneCase):
    def setUp(self) -> None:
        super().setUp()
        self.queue = self.make_queue(durability="normal")
        self.inbox = self.queue.messages("inbox")


class Faces(AioCase):
    def test_it_is_the_same_lane(self) -> None:
        async def talk() -> None:
            aio = self.inbox.aio
            await aio.put("a", priority=1)
            self.assertEqual((aio.qsize(), aio.empty(), aio.full(), aio.maxsize), (1, False, False, 0))
            self.assertEqual(await asyncio.to_thread(self.inbox.get), "a")
            with self.assertRaises(asyncio.QueueEmpty):
                aio.get_nowait()
            got = asyncio.create_task(aio.get())
            await asyncio.to_thread(self.inbox.put, "b")
            self.assertEqual(await got, "b")

        run(talk())

    def test_a_thread_and_a_coroutine_wake_each_other(self) -> None:
        small = self.queue.messages("small", 1)

        async def put_all() -> None:
            for number in range(20):
                await small.aio.put(number)
            await small.aio.join()

        def take() -> list[int]:
            found = []
            for _ in range(20):
                found.append(small.get())
                small.task_done()
            return found

        taken = Later(take)
        run(put_all())
        self.assertEqual(taken.came(), list(range(20)))

    def test_iteration_and_shutdown(self) -> None:
        async def talk() -> None:
            aio = self.inbox.aio
            for number in range(3):
                await aio.put(number)
            reader = asyncio.create_task(self.read(aio))
            while not aio.empty():
                await asyncio.sleep(TICK_SECONDS)
            self.inbox.shutdown()
            self.assertEqual(await reader, [0, 1, 2])
            with self.assertRaises(ShutDown):
                await aio.put(3)

        run(talk())

    async def read(self, aio: AsyncMessages[Any]) -> list[Any]:
        return [item async for item in aio]

    def test_each_coroutine_has_done_its_own(self) -> None:
        aio = self.inbox.aio
        has_got, may_end = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            self.assertEqual(await aio.get(), "a")
            has_got.set()
            await may_end.wait()
            aio.task_done()

        async def talk() -> None:
            ids = [await aio.put(item) for item in "ab"]
            holder = asyncio.create_task(hold())
            await has_got.wait()
            self.assertEqual(await asyncio.wait_for(aio.get(), PATIENCE_SECONDS), "b")
            aio.task_done()  # not the "a" of the other, though that is older
            while self.inbox.unfinished_tasks > 1:
                await asyncio.sleep(TICK_SECONDS)
            self.assertEqual([job.id for job in self.queue.jobs(queue="messages:inbox")], ids[:1])
            may_end.set()
            await holder
            await aio.join()
            with self.assertRaises(ValueError):
                aio.task_done()

        run(talk())

    def test_a_claimed_message_is_settled_on_a_thread(self) -> None:
        async def talk() -> None:
            await self.inbox.aio.put("a")
            message: Message[Any] = await self.inbox.aio.claim()
            await asyncio.to_thread(message.complete)
            with self.assertRaises(LeaseLost):
                await asyncio.to_thread(message.complete)

        run(talk())

    def test_what_is_done_while_nothing_can_be_written_is_written_later(self) -> None:
        async def talk() -> None:
            aio = self.inbox.aio
            await aio.put("a")
            await aio.get()
            with full_disk() as disk:
                aio.task_done()
                await asyncio.to_thread(until, lambda: disk.called)
                self.queue.counts()
            await aio.join()

        run(talk())

    def test_closing_the_queue_ends_all_waits(self) -> None:
        async def talk() -> None:
            waiting = [asyncio.create_task(self.inbox.aio.get()), asyncio.create_task(self.inbox.aio.get())]
            await asyncio.sleep(TICK_SECONDS)
            self.queue.close()
            for each in waiting:
                with self.assertRaises(QueueClosed):
                    await each

        run(talk())

    def test_a_transaction_is_not_awaited_in(self) -> None:
        async def talk() -> None:
            with self.queue.transaction(), self.assertRaises(NotAllowed):
                await self.inbox.aio.put("a")

        run(talk())


class TheLoop(AioCase):
    def test_it_runs_on_while_another_process_has_the_file_locked(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            self.inbox.put("a")

            async def talk() -> None:
                other.execute("BEGIN IMMEDIATE")
                work = asyncio.gather(self.inbox.aio.put("b"), self.inbox.aio.get())
                self.assertLess(await self.longest_tick(), LOCKED_SECONDS / 2)
                self.assertFalse(work.done())
                other.execute("ROLLBACK")
                await work
                self.inbox.aio.task_done()

            run(talk())

    async def longest_tick(self) -> float:
        loop = asyncio.get_running_loop()
        last, longest, end = loop.time(), 0.0, loop.time() + LOCKED_SECONDS
        while last < end:
            await asyncio.sleep(TICK_SECONDS)
            longest, last = max(longest, loop.time() - last), loop.time()
        return longest

    def test_hundreds_wait_without_a_thread_each(self) -> None:
        async def talk() -> None:
            async with asyncio.TaskGroup() as group:
                getters = [group.create_task(self.inbox.aio.get()) for _ in range(300)]
                await asyncio.sleep(TICK_SECONDS)
                for number in range(300):
                    await self.inbox.aio.put(number)
            self.assertEqual(sorted(getter.result() for getter in getters), list(range(300)))

        run(talk())


class Cancelled(AioCase):
    def test_a_get_that_has_taken_one_gives_it_back_before_it_ends(self) -> None:
        async def talk() -> None:
            for moment in range(30):
                await self.inbox.aio.put(moment)
                getter = asyncio.create_task(self.inbox.aio.get())
                await asyncio.sleep(moment / 10_000)
                getter.cancel()
                try:
                    self.assertEqual(await getter, moment)
                except asyncio.CancelledError:
                    self.assertEqual(self.inbox.get_nowait(), moment)  # in its turn, and at once
                self.assertEqual(self.inbox.qsize(), 0)

        run(talk())

    def test_what_can_not_be_given_back_at_once_is_given_back_later(self) -> None:
        has_taken, may_end, attempt = threading.Event(), threading.Event(), Messages.attempt

        def slow(messages: Messages[Any], taker: Taker) -> Message[Any] | None:
            message = attempt(messages, taker)
            has_taken.set()
            may_end.wait(PATIENCE_SECONDS)
            return message

        async def talk() -> None:
            await self.inbox.aio.put("a")
            with mock.patch.object(Messages, "attempt", slow):
                getter = asyncio.create_task(self.inbox.aio.get())
                await asyncio.to_thread(has_taken.wait, PATIENCE_SECONDS)
                getter.cancel()
                with full_disk():
                    may_end.set()
                    with self.assertRaises(asyncio.CancelledError):
                        await getter
                self.assertEqual(self.inbox.qsize(), 0)
            self.assertEqual(await self.inbox.aio.get(), "a")

        run(talk())

    def test_a_put_that_waits_for_room_puts_nothing(self) -> None:
        small = self.queue.messages("small", 1)

        async def talk() -> None:
            await small.aio.put("a")
            putter = asyncio.create_task(small.aio.put("b"))
            await asyncio.sleep(TICK_SECONDS)
            putter.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await putter
            self.assertEqual(small.get(), "a")
            self.assertTrue(small.empty())
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(small.aio.get(), TICK_SECONDS)
            await asyncio.wait_for(small.aio.put("c"), PATIENCE_SECONDS)

        run(talk())

    @settings(max_examples=12, deadline=None)
    @given(seed=st.integers(0, 1 << 32), maxsize=st.sampled_from((0, 1, 3)), puts=st.integers(1, 40))
    def test_storms(self, seed: int, maxsize: int, puts: int) -> None:
        run(Storm(self, random.Random(seed), maxsize).rage(puts))


class Storm:
    """Putters and getters of which a part is cancelled at any moment."""

    lanes = 0

    def __init__(self, test: AioCase, chance: random.Random, maxsize: int) -> None:
        Storm.lanes += 1
        self.test = test
        self.chance = chance
        self.messages = test.queue.messages(f"storm {Storm.lanes}", maxsize)
        self.aio = self.messages.aio
        self.got: list[int] = []

    async def rage(self, puts: int) -> None:
        putters = [asyncio.create_task(self.put(number)) for number in range(puts)]
        getters = [asyncio.create_task(self.get()) for _ in range(puts)]
        doomed = self.chance.sample([*putters, *getters], puts)
        for task in doomed:
            await asyncio.sleep(self.chance.choice((0, 0.0005, 0.002)))
            task.cancel()
        await asyncio.wait(doomed)
        await self.calm(putters, getters)
        self.judge([task for task in putters if not task.cancelled()], puts)

    async def put(self, number: int) -> int:
        await asyncio.sleep(self.chance.random() / 500)
        await self.aio.put(number)
        return number

    async def get(self) -> None:
        await asyncio.sleep(self.chance.random() / 500)
        self.got.append(await self.aio.get())

    async def calm(self, putters: list[asyncio.Task[int]], getters: list[asyncio.Task[None]]) -> None:
        """Take what is left, until every put is through, and let the getters that wait go."""
        while not all(task.done() for task in putters):
            await self.take()
            await asyncio.sleep(0.001)
        for task in getters:
            task.cancel()
        await asyncio.wait(getters)
        while await self.take():
            pass

    async def take(self) -> bool:
        try:
            self.got.append(await asyncio.to_thread(self.messages.get_nowait))
        except Empty:
            return False
        return True

    def judge(self, put: list[asyncio.Task[int]], puts: int) -> None:
        times = Counter(self.got)
        self.test.assertLessEqual({task.result() for task in put}, times.keys(), "an item was lost")
        self.test.assertLessEqual(times.keys(), set(range(puts)))
        self.test.assertEqual(set(times.values()) - {1}, set(), "an item was got twice")
        self.test.assertEqual(self.messages.unfinished_tasks, len(self.got), "a lease was forgotten")
        for _ in self.got:
            self.messages.task_done()
        self.test.assertEqual(self.messages.unfinished_tasks, 0)


if __name__ == "__main__":
    unittest.main()
