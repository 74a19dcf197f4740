"""Which faults there are, and where they are met."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EIO, EMFILE, ENOMEM, ENOSPC

from tests.crashes.shim import ALL, CHANGES, Deed, Kind


@dataclass(frozen=True)
class Mode:
    """A kind of fault."""

    kinds: Kind
    deed: Deed
    error: int = 0

    @property
    def is_deadly(self) -> bool:
        """Whether it ends the process."""
        return self.deed in (Deed.KILL, Deed.TEAR)


# SQLite takes any failure to lock for a lock that another holds, and waits; no disk fails so.
_FAILING = ALL & ~Kind.LOCK
_GROWING = Kind.OPEN | Kind.WRITE | Kind.SYNC | Kind.RESIZE
MODES = {
    "kill": Mode(CHANGES, Deed.KILL),
    "torn": Mode(Kind.WRITE, Deed.TEAR),
    "eio": Mode(_FAILING, Deed.FAIL, EIO),
    "eio-sticky": Mode(_FAILING, Deed.FAIL_EVER, EIO),
    "full": Mode(_GROWING, Deed.FAIL, ENOSPC),
    "full-sticky": Mode(_GROWING, Deed.FAIL_SHORT, ENOSPC),
    "emfile": Mode(Kind.OPEN, Deed.FAIL, EMFILE),
    "emfile-sticky": Mode(Kind.OPEN, Deed.FAIL_EVER, EMFILE),
    "enomem": Mode(Kind.MAP, Deed.FAIL, ENOMEM),
}


@dataclass(frozen=True)
class Point:
    """A file call of an operation, and what befalls it.

    With `again` the process died there, and the next one dies at that call of its recovery.
    """

    operation: str
    mode: str
    at: int
    again: int = 0

    def __str__(self) -> str:
        again = f" --again {self.again}" if self.again else ""
        return f"--operation {self.operation} --mode {self.mode} --at {self.at}{again}"
