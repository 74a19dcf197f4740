"""CPython's own tests of `asyncio.Queue`, with our messages in its place."""

from __future__ import annotations

import asyncio
import unittest
from typing import Any
from unittest import mock

from tests.messages.standard import Coroutines, Place, module_of_cpython, without
from tests.support import PATIENCE_SECONDS

test_queues: Any = module_of_cpython("test.test_asyncio.test_queues")

DISK_SECONDS = 0.3
PRIVATE = "looks into the private attributes of asyncio.Queue"
DEVIATIONS = {
    "test_repr": "asks for the words of asyncio.Queue's own repr",
    "test_str": "asks for the words of asyncio.Queue's own repr",
    "test_format": PRIVATE,
    "test_generic_alias": "asks how asyncio.Queue[int] is made; ours is a typing.Generic",
    "test_get_with_putters": PRIVATE,
    "test_cancelled_getters_not_being_held_in_self_getters": PRIVATE,
    "test_cancelled_puts_not_being_held_in_self_putters": PRIVATE,
    "test_float_maxsize": "a maxsize of 1.3 is refused, as any other option that is no whole number",
}


class InPlace(unittest.IsolatedAsyncioTestCase):
    """Ours wherever a test says `asyncio.Queue`, or `self.q_class`."""

    def setUp(self) -> None:
        super().setUp()
        ours = Coroutines(Place(self))
        self.enterContext(mock.patch.object(asyncio, "Queue", ours.queue))
        self.enterContext(mock.patch.object(asyncio, "sleep", ours.sleep))
        self.q_class = ours.queue

    async def asyncSetUp(self) -> None:
        """Give the disk more than the 10 ms that two tests have for it, and end what hangs."""
        await super().asyncSetUp()
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def later(delay: float, *arguments: Any) -> asyncio.TimerHandle:
            return call_later(DISK_SECONDS if delay == 0.01 else delay, *arguments)

        self.enterContext(mock.patch.object(loop, "call_later", later))
        end = loop.call_later(PATIENCE_SECONDS, lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        self.addCleanup(end.cancel)


@without(DEVIATIONS)
class Basic(InPlace, test_queues.QueueBasicTests):  # type: ignore[misc]
    pass


@without(DEVIATIONS)
class Get(InPlace, test_queues.QueueGetTests):  # type: ignore[misc]
    pass


@without(DEVIATIONS)
class Put(InPlace, test_queues.QueuePutTests):  # type: ignore[misc]
    pass


@without(DEVIATIONS)
class Join(InPlace, test_queues._QueueJoinTestMixin):  # type: ignore[misc]
    pass


if hasattr(test_queues, "_QueueShutdownTestMixin"):  # from Python 3.13 on

    @without(DEVIATIONS)
    class Shutdown(InPlace, test_queues._QueueShutdownTestMixin):  # type: ignore[misc]
        pass


if __name__ == "__main__":
    unittest.main()
