"""What threads and coroutines have got, and must say is done: what `task_done()` is about."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import LeaseLost, LiteQueueError
from ..job import Lease


class Got:
    """The leases that were got here, oldest first, and who got each."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()  # never held while the disk is waited for
        self._owners: dict[Lease, object] = {}

    def keep(self, lease: Lease, owner: object) -> None:
        """Note what `owner` has got: a thread or a coroutine, not its number.

        The number of one that has ended is given to the next.
        """
        with self._mutex:
            self._owners[lease] = owner

    def forget(self, lease: Lease) -> None:
        """Nobody need say of it that it is done."""
        with self._mutex:
            self._owners.pop(lease, None)

    def finish(
        self, owner: object, complete: Callable[[Lease], object], after_strike: Callable[[Lease], object]
    ) -> None:
        """Complete the oldest that this owner has got, or else anybody. Raises `ValueError` for none.

        What could not be written remains to be done. A signal may strike when it is not known any more
        whether it is written: then `after_strike` sees to it.
        """
        lease: Lease | None = None
        try:
            with self._mutex:
                lease = self._oldest(owner)
                del self._owners[lease]
            complete(lease)
        except (LeaseLost, ValueError):
            raise
        except LiteQueueError:
            if lease is not None:
                self._take_back(lease, owner)
            raise
        except BaseException:
            if lease is not None:
                self.forget(lease)
                after_strike(lease)
            raise

    def _oldest(self, owner: object) -> Lease:
        for lease, each in self._owners.items():
            if each == owner:
                return lease
        for lease in self._owners:
            return lease
        raise ValueError("task_done() called too many times: all that was got here is done")

    def _take_back(self, lease: Lease, owner: object) -> None:
        with self._mutex:
            self._owners = {lease: owner, **self._owners}
