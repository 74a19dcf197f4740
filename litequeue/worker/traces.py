"""What a task can change of the whole process it runs in, so that the next one would find it changed."""

from __future__ import annotations

import locale
import os
import resource
import signal
import sys
from contextlib import suppress


def traces() -> dict[str, object]:
    """How the process is now, by what each thing is called."""
    return {
        "working directory": _directory(),
        "umask": _umask(),
        "locale": locale.setlocale(locale.LC_ALL),
        "signal handlers": [signal.getsignal(number) for number in signal.valid_signals()],
        "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "resource limits": _limits(),
        "recursion limit": sys.getrecursionlimit(),
        "trace function": (sys.gettrace(), sys.getprofile()),
        "standard streams": [_is_closed(name) for name in ("stdout", "stderr")],
    }


def changed(before: dict[str, object]) -> list[str]:
    """What is not as it was."""
    now = traces()
    return [name for name in before if before[name] != now[name]]


def _directory() -> str | None:
    with suppress(FileNotFoundError):  # it was deleted
        return os.getcwd()
    return None


def _limits() -> list[tuple[int, int]]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return [resource.getrlimit(getattr(resource, name)) for name in names]


def _is_closed(stream: str) -> bool:
    return bool(getattr(getattr(sys, stream), "closed", True))


def _umask() -> int:
    """Which can only be read by setting it; to the strictest, for threads may be making files."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
