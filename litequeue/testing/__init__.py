"""For tests of programs that use litequeue.

with in_memory(queue) as clock:      # the tasks of your program, on a file of their own in memory
    sign_up("ada@example.org")
    assert_enqueued(queue, send_welcome, "ada@example.org")
    clock.advance(3600)
    queue.drain()
"""

from .assertions import assert_enqueued, assert_not_enqueued, enqueued
from .clock import HandClock
from .places import in_file, in_memory
from .single import run

__all__ = [
    "HandClock",
    "assert_enqueued",
    "assert_not_enqueued",
    "enqueued",
    "in_file",
    "in_memory",
    "run",
]
