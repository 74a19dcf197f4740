"""A process that forks closes its connections first, so that its child inherits none.

SQLite notes in the process which locks it holds. A child with a copy of those notes believes in locks that
it does not have: what it commits can vanish when its parent closes the file. Measured: of four jobs that a
child enqueued and was given ids for, three were gone.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from functools import cache
from sqlite3 import Connection
from typing import Protocol


class Forkable(Protocol):
    """Something that a child must not inherit as it is."""

    def before_fork(self) -> None:
        """Let go of all that must not be inherited."""

    def after_fork(self) -> None:
        """Called in the parent, perhaps twice; goes on."""

    def start_afresh(self) -> None:
        """Called in the child; starts afresh."""


def watch(thing: Forkable) -> None:
    """Have a fork call the methods of this, as long as it lives."""
    _watched().add(thing)


def keep_for_ever(connection: Connection) -> None:
    """Never free an inherited connection, not even at the interpreter's end.

    Closing it would work on the parent's locks and log.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


@cache
def _watched() -> weakref.WeakSet[Forkable]:
    watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        # Again: a signal that came while the process forked strikes the first, and Python only tells of it.
        os.register_at_fork(after_in_parent=_in_parent)
    return watched


def _before() -> None:
    for thing in list(_watched()):
        thing.before_fork()


def _in_parent() -> None:
    for thing in list(_watched()):
        thing.after_fork()


def _in_child() -> None:
    for thing in list(_watched()):
        thing.start_afresh()
