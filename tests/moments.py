"""Every moment at which CPython may run a signal's handler or deliver an exception from outside.

It looks for them on entry of a function or generator, after a call of C code, at a jump back, and within C
code that waits. All of these are tried, one after the other: what is random is never sure to have been tried.
Between other bytecodes nothing is ever delivered, and `with lock:` relies on that.
"""

from __future__ import annotations

import ctypes
import dis
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from types import FrameType
from typing import Any, NoReturn

from tests.repository import ROOT

WAITING = {
    "acquire",
    "sleep",
    "fcntl",
    "select",
    "poll",
    "join",
}  # C code that a signal may strike as it waits
JUMP = "JUMP_BACKWARD"
_TESTS = f"{ROOT / 'tests'}/"
Strike = Callable[[str], object]


class _Counter:
    """Counts the moments of the thread it is set in, and strikes at one of them."""

    def __init__(self, number: int, strike: Strike) -> None:
        self._left = number
        self._strike = strike
        self.was_reached = False

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_return") or (event == "c_call" and argument.__name__ in WAITING):
            self._count(frame, f"{event} {getattr(argument, '__name__', '')}")

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and dis.opname[frame.f_code.co_code[frame.f_lasti]] == JUMP:
            self._count(frame, "jump")
        return self.trace

    def _count(self, frame: FrameType, event: str) -> None:
        code = frame.f_code
        if code.co_filename.startswith(_TESTS):
            return  # a test is not what is tested
        self._left -= 1
        if self._left == 0:
            self.was_reached = True
            self._strike(f"{event} in {code.co_qualname}, {code.co_filename}:{frame.f_lineno}")


def _let_the_interpreter_be() -> None:
    """Take back the word that some thread is to raise an exception, left by one that ended before it could.

    CPython 3.11 then looks for it before every call, and where it is traced it does so for ever.
    """
    with suppress(_Raised):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(threading.get_ident()), ctypes.py_object(_Raised)
        )
        while True:
            pass


class _Raised(BaseException):
    """What a thread raises in itself."""


def strike_at(number: int, work: Callable[[], object], strike: Strike) -> bool:
    """Run `work`, and `strike` at its moment of this number; False when it has not so many."""
    counter = _Counter(number, strike)
    before = sys.gettrace(), sys.getprofile()
    gc.disable()  # what is raised while rubbish is collected is lost
    sys.settrace(counter.trace)
    sys.setprofile(counter.profile)
    try:
        work()
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])
        gc.enable()
    return counter.was_reached


def each_moment(work: Callable[[], object], strike: Strike, *, step: int = 1) -> Iterator[int]:
    """Run `work` again and again, and strike at its first moment, its second and so on to its last."""
    _let_the_interpreter_be()
    number = 1
    while strike_at(number, work, strike):
        yield number
        number += step


def each_interrupt(
    work: Callable[[], object],
    meanwhile: Callable[[], object] = lambda: None,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
    *,
    step: int = 1,
) -> Iterator[str]:
    """As `each_moment`, with Ctrl-C; gives where each was, once it is dealt with.

    Before that `meanwhile` is done. Every run of the work is inside `around()`, which is not struck.
    """
    places: list[str] = []

    def interrupt(place: str) -> NoReturn:
        places.append(place)
        raise KeyboardInterrupt

    _let_the_interpreter_be()
    number = 1
    while True:
        with around():
            try:
                if not strike_at(number, work, interrupt):
                    return
            except KeyboardInterrupt:
                meanwhile()
        yield f"moment {number}: {places[-1]}"
        number += step
