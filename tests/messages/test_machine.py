"""A lane against a model of it: whatever is put, got, settled and delayed, in whatever order."""

from __future__ import annotations

import unittest
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from litequeue import Empty, Full, Message, Messages, Queue
from litequeue.testing import HandClock

SECOND = 1_000_000
MAXSIZE = 6


@dataclass(order=True)
class Item:
    """What the model knows of a message, in the order in which they are got."""

    rank: int  # the lower the earlier
    due: int
    number: int


class Lane(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.queue = Queue(":memory:", clock=self.clock)
        self.messages: Messages[int] = self.queue.messages("inbox", MAXSIZE)
        self.waiting: list[Item] = []
        self.got: list[Item] = []
        self.claimed: list[tuple[Item, Message[int]]] = []
        self.failed = 0
        self.number = 0

    def teardown(self) -> None:
        self.queue.close()

    # --- putting and getting ------------------------------------------------------------------------

    @rule(priority=st.integers(-2, 2), delay=st.sampled_from((0, 0, 0, 5)))
    def put(self, priority: int, delay: int) -> None:
        self.clock.advance(0.001)  # no two come at the same instant
        item = Item(-priority, self.clock.now() + delay * SECOND, self.number + 1)
        try:
            self.messages.put_nowait(item.number, priority=priority, delay=delay)
        except Full:
            assert len(self.waiting) >= MAXSIZE
        else:
            assert len(self.waiting) < MAXSIZE
            self.number += 1
            self.waiting.append(item)

    def next(self) -> Item | None:
        """What should be got now."""
        return min((item for item in self.waiting if item.due <= self.clock.now()), default=None)

    @rule()
    def get(self) -> None:
        wanted = self.next()
        try:
            number = self.messages.get_nowait()
        except Empty:
            assert wanted is None
        else:
            assert wanted is not None and number == wanted.number
            self.waiting.remove(wanted)
            self.got.append(wanted)

    @rule()
    def claim(self) -> None:
        wanted = self.next()
        try:
            message = self.messages.claim(block=False)
        except Empty:
            assert wanted is None
        else:
            assert wanted is not None and message.item == wanted.number
            self.waiting.remove(wanted)
            self.claimed.append((wanted, message))

    # --- settling -----------------------------------------------------------------------------------

    @rule()
    def task_done(self) -> None:
        try:
            self.messages.task_done()
        except ValueError:
            assert not self.got
        else:
            del self.got[0]

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        self.chosen(data)[1].complete()

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), delay=st.sampled_from((0, 3)))
    def release(self, data: st.DataObject, delay: int) -> None:
        item, message = self.chosen(data)
        message.release(delay)
        if delay:
            item.due = self.clock.now() + delay * SECOND
        self.waiting.append(item)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.chosen(data)[1].fail("no")
        self.failed += 1

    def chosen(self, data: st.DataObject) -> tuple[Item, Message[int]]:
        return self.claimed.pop(data.draw(st.integers(0, len(self.claimed) - 1)))

    # --- the rest -----------------------------------------------------------------------------------

    @rule()
    def discard(self) -> None:
        self.queue.messages("inbox").shutdown(immediate=True)
        self.waiting.clear()

    @rule(seconds=st.integers(1, 6))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def it_counts_as_the_model_does(self) -> None:
        waiting = len(self.waiting)
        assert self.messages.qsize() == waiting
        assert self.messages.empty() == (waiting == 0)
        assert self.messages.full() == (waiting >= MAXSIZE)
        assert self.messages.unfinished_tasks == waiting + len(self.got) + len(self.claimed)
        assert len(self.queue.jobs(queue="messages:inbox", state="failed")) == self.failed
        assert self.queue.jobs(queue="messages:inbox", state="completed") == []


TestLane = Lane.TestCase
TestLane.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)

if __name__ == "__main__":
    unittest.main()
