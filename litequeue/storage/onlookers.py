"""Who reads the file at this moment, as far as the system tells."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

# The bytes of the log's index that a reader locks; while it does, the log can not begin anew.
_READ_LOCKS = range(123, 128)
_LOCK = re.compile(r"\S+ POSIX +ADVISORY +READ +(\d+) \S+:(\d+) (\d+) ")


class Onlooker(NamedTuple):
    """A process that reads, and its command line."""

    pid: int
    command: str


def readers(path: str, locks: str | None = None) -> list[Onlooker]:
    """The processes that are in the middle of a read of the file; none where the system does not tell."""
    try:
        inode = os.stat(f"{path}-shm").st_ino
        told = Path("/proc/locks").read_text(encoding="utf-8") if locks is None else locks
    except OSError:
        return []
    found = {
        int(pid)
        for pid, where, start in (match.groups() for match in map(_LOCK.match, told.splitlines()) if match)
        if int(where) == inode and int(start) in _READ_LOCKS
    }
    return [Onlooker(pid, _command(pid)) for pid in sorted(found)]


def _command(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "unknown"
    return text.replace(b"\0", b" ").decode("utf-8", "backslashreplace").strip() or "unknown"
