"""CPython's own tests of `queue.Queue`, with our messages in its place."""

from __future__ import annotations

import queue
import unittest
from typing import Any

from tests.messages.standard import Place, module_of_cpython, threads_queue, without

test_queue: Any = module_of_cpython("test.test_queue")

DEVIATIONS = {
    "test_shutdown_all_methods_in_many_threads": "passes, but takes a minute for its 65,536 messages",
    "test_shutdown_immediate_all_methods_in_many_threads": "likewise",
}
SIMPLE_DEVIATIONS = {
    "test_references": "puts an object of a local class, which no codec carries to another process",
}


@without(DEVIATIONS)
class InAFile(test_queue.QueueTest, unittest.TestCase):  # type: ignore[misc]
    queue = queue
    in_memory = False

    def setUp(self) -> None:
        super().setUp()
        self.type2test = threads_queue(Place(self, in_memory=self.in_memory))


class InMemory(InAFile):
    in_memory = True


@without(SIMPLE_DEVIATIONS)
class Crowd(test_queue.BaseSimpleQueueTest, unittest.TestCase):  # type: ignore[misc]
    """Fifty threads that put, and fifty that get."""

    queue = queue

    def setUp(self) -> None:
        self.type2test = threads_queue(Place(self))
        super().setUp()


if __name__ == "__main__":
    unittest.main()
