"""What a forked child must do with what it inherited, before it runs anything else."""

from __future__ import annotations

import ctypes
import os
import weakref
from functools import cache
from sqlite3 import Connection
from typing import Protocol


class Inherited(Protocol):
    """Something that a child must not go on using as it is."""

    def let_go(self) -> None:
        """Called in the child; starts afresh."""


def watch(thing: Inherited) -> None:
    """Have a forked child call `let_go` on this, as long as it lives."""
    _watched().add(thing)


def keep_for_ever(connection: Connection) -> None:
    """Never free an inherited connection, not even at the interpreter's end.

    Closing it would work on the parent's locks and log.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


@cache
def _watched() -> weakref.WeakSet[Inherited]:
    watched: weakref.WeakSet[Inherited] = weakref.WeakSet()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_let_all_go)
    return watched


def _let_all_go() -> None:
    for thing in list(_watched()):
        thing.let_go()
