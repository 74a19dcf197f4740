"""What these tests share: threads that wait in a lane, and how long that may take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from litequeue import Queue
from litequeue.errors import DiskFull
from litequeue.storage.store import Store
from tests.support import PATIENCE_SECONDS, folder_for
from tests.worker.case import QuietCase


@contextmanager
def full_disk() -> Iterator[mock.Mock]:
    """Within the block nothing that a worker does can be written."""
    with mock.patch.object(Store, "take_turn", side_effect=DiskFull("there is no room")) as take_turn:
        yield take_turn


class LaneCase(QuietCase):
    """A queue in a file, by the machine's own clock."""

    def setUp(self) -> None:
        super().setUp()
        self.path = folder_for(self, in_memory=True) / "jobs.db"
        self.queue = self.make_queue()

    def make_queue(self, **options: Any) -> Queue:
        """Another queue on the same file."""
        queue = Queue(self.path, **options)
        self.addCleanup(queue.close)
        return queue


class Later:
    """A call on a thread of its own, and what came of it."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._came: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(call, *arguments), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[..., Any], *arguments: Any) -> None:
        try:
            self._came.append(call(*arguments))
        except BaseException as error:  # it is what came of it
            self._came.append(error)

    @property
    def is_waiting(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def came(self) -> Any:
        """What it returned or raised, waited for."""
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise AssertionError("it still waits")
        return self._came[0]
