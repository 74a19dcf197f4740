"""Ctrl-C at every moment of what is done with a message: it is done, or given back, or to be ended here."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from unittest import mock

from litequeue import Empty, Messages
from litequeue.messages.holding import Taker
from tests.messages.case import LaneCase
from tests.moments import each_interrupt
from tests.support import PATIENCE_SECONDS
from tests.worker.case import until
from tests.worker.test_ends import despite_python


class Interrupted(LaneCase):
    step = 5  # `python -m tests.soak misdeeds` tries every moment
    lanes = 0

    def setUp(self) -> None:
        super().setUp()
        self.unraisable: list[Any] = []
        hook = mock.patch.object(sys, "unraisablehook", self.unraisable.append)
        hook.start()
        self.addCleanup(hook.stop)
        self.queue = self.make_queue(durability="normal")
        self.lane("inbox")
        with self.inbox.claim():
            pass  # from here on the process is signed on

    def tearDown(self) -> None:
        super().tearDown()
        # What strikes Python itself while it closes a generator is told by it, and goes no further.
        others = [each for each in self.unraisable if not isinstance(each.exc_value, KeyboardInterrupt)]
        self.assertEqual(others, [])

    def lane(self, name: str) -> None:
        """Another lane, with a message in it."""
        self.inbox: Messages[Any] = self.queue.messages(name)
        self.inbox.put("a")

    @contextmanager
    def one_message(self) -> Iterator[None]:
        self.require_none_held()
        self.inbox.put("a")
        yield

    @contextmanager
    def one_that_comes(self) -> Iterator[None]:
        self.require_none_held()
        self.inbox.put("a", delay=0.002)
        yield

    @contextmanager
    def another_lane(self) -> Iterator[None]:
        self.inbox._lane.close()
        self.lanes += 1
        self.lane(f"lane {self.lanes}")
        yield

    def require_none_held(self) -> None:
        """Whatever is left can be got here at once, and is not held by anybody."""
        with suppress(ValueError):
            self.inbox.task_done()
        until(self.has_ended_all, "the return of what nobody holds")

    def has_ended_all(self) -> bool:
        with suppress(Empty):
            while True:
                self.inbox.get_nowait()
                self.inbox.task_done()
        return self.inbox.unfinished_tasks == 0

    def interrupt(
        self,
        work: Callable[[], object],
        around: Callable[[], AbstractContextManager[object]] | None = None,
        *,
        step: int,
    ) -> None:
        moments = 0
        around = around or self.one_message
        for place in each_interrupt(lambda: despite_python(work), around=around, step=step):
            moments += 1
            with self.subTest(place):
                self.require_none_held()
        self.assertGreater(moments, 100 // step)

    def test_a_claim_and_its_block(self) -> None:
        def work() -> None:
            with self.inbox.claim(block=False):
                pass

        self.interrupt(work, step=self.step)

    def test_a_claim_that_waits(self) -> None:
        def work() -> None:
            with self.inbox.claim(timeout=PATIENCE_SECONDS):
                pass

        self.interrupt(work, self.one_that_comes, step=3 * self.step)

    def test_the_first_claim(self) -> None:
        """With which the process signs on, and its heart begins to beat."""

        def work() -> None:
            with self.inbox.claim():
                pass

        self.interrupt(work, self.another_lane, step=4 * self.step)

    def test_a_block_that_fails(self) -> None:
        def work() -> None:
            with suppress(ZeroDivisionError), self.inbox.claim(block=False):
                raise ZeroDivisionError

        self.inbox = self.queue.messages("inbox", retry=1)
        self.interrupt(work, step=3 * self.step)

    def test_what_was_rolled_back_may_be_anothers(self) -> None:
        """The claim of the other thread has the same lease."""
        struck, lane = Taker(), self.inbox._lane
        self.inbox.put("a")
        with suppress(KeyboardInterrupt), self.queue.transaction():
            claimed = lane.claim(struck)
            raise KeyboardInterrupt
        message = self.inbox.claim(block=False)
        assert claimed is not None
        self.assertEqual(message.lease, claimed.lease)
        lane.give_back_taken(struck)
        message.complete()

    def test_one_that_is_let_go_comes_back(self) -> None:
        self.inbox.put("a")
        with self.assertLogs("litequeue", "WARNING") as logs:
            self.inbox.claim()
            self.assertEqual(self.inbox.get(timeout=PATIENCE_SECONDS), "a")
        self.assertRegex(logs.output[0], "message=2 goes back: it was let go")
        self.inbox.task_done()

    def test_a_get(self) -> None:
        def work() -> None:
            self.inbox.get(block=False)
            self.inbox.task_done()

        self.interrupt(work, step=self.step)

    def test_a_get_for_coroutines(self) -> None:
        def work() -> None:
            self.inbox.aio.get_nowait()
            self.inbox.task_done()

        self.interrupt(work, step=3 * self.step)


if __name__ == "__main__":
    unittest.main()
