"""One lane of messages in one process: its names in the file, who waits for what, and what is held."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ..clock import SECOND
from ..codec import NO_TYPES, byte_size, call_writer, reader
from ..desk import Desk
from ..errors import (
    EncodingError,
    JobNotFound,
    LeaseLost,
    LiteQueueError,
    NotAllowed,
    PayloadTooLarge,
    QueueClosed,
    QueueFull,
)
from ..job import Claimed, Complete, Fail, Failure, Filter, Lease, NewJobs, Settlement, State
from ..log import log
from ..mold import Mold, make_mold
from ..names import LANE, MESSAGE
from ..options import NO_OPTIONS, Duration, checked, text_name
from ..storage.forks import watch
from ..storage.transactions import afterwards
from .holding import Holding, Taker
from .line import Line

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ..queue import Queue

ALL = 1 << 62
_THREADS = 16  # as many writes of coroutines share one commit
_WAITING = (State.READY, State.SCHEDULED, State.BLOCKED)


def queue_name(lane: str) -> str:
    """The queue in which the messages of a lane lie: no worker of jobs serves it, unless it is named."""
    return text_name(f"{LANE}{text_name(lane, 'the name of the messages')}", "the name of the messages")


def lane_of(queue: Queue, name: str) -> Lane:
    """The lane of this name, which all messages of that name from this queue share."""
    known = queue.lanes.get(name)
    return queue.lanes.setdefault(name, Lane(queue, name)) if known is None else known


class Lane:
    """The messages of one name; all who ask the queue for that name share it."""

    _mutex: threading.Lock
    _pool: ThreadPoolExecutor | None
    _is_running_on: bool  # the last claim gave a message, so the next may do without a look

    def __init__(self, queue: Queue, name: str) -> None:
        self.queue = queue
        self.name = name
        self.place = queue_name(name)
        self._encode = call_writer(queue.codec)
        self._plain = self._mold(0, 0)
        self.arrivals = Line(self.place, lambda: queue.desk, self._due)
        self.room = Line(f"{self.place}\troom", lambda: queue.desk)
        self.ends = Line(f"{self.place}\tends", lambda: queue.desk)
        self._lines = (self.arrivals, self.room, self.ends)
        self.holding = Holding(queue, self.place, self.call_all)
        self._is_closed = False
        self.start_afresh()
        watch(self)

    @property
    def desk(self) -> Desk:
        """The file, opened on first use."""
        return self.queue.desk

    # --- verbs --------------------------------------------------------------------------------------

    def new(self, item: object, priority: int, delay: Duration) -> NewJobs:
        """What is stored of an item. Raises `EncodingError`, `PayloadTooLarge`, `InvalidOption`."""
        payload = self._encode((item,), {}, NO_TYPES)
        if (size := byte_size(payload)) > self.queue.max_payload:
            raise PayloadTooLarge(
                f"the item takes {size:,} bytes, over the limit of {self.queue.max_payload:,}; "
                "store the data in a file and put its path, or open Queue(…, max_payload=…)"
            )
        mold = self._mold(priority, delay) if priority or delay else self._plain
        return mold.cast((payload,), self.queue.clock.now())

    def put(self, new: NewJobs, maxsize: int) -> int | None:
        """Store a message; its id, or None when too many wait."""
        try:
            (id,) = self.desk.store.enqueue([new], bound=max(0, maxsize))
        except QueueFull:
            return None
        if self.queue.in_transaction:
            afterwards(self.desk.database, self.arrivals.tell)
        else:
            self.arrivals.call()
        return id

    def claim(self, taker: Taker) -> Claimed | None:
        """The next message, ours from now on; None when none is ready."""
        worker = self.holding.signed_on()  # who waits returns what the dead held
        if not (self._is_running_on or self._is_any()):
            return None
        claimed = self.holding.claim(worker, taker)
        self._is_running_on = claimed is not None
        if claimed is not None:
            self.room.tell()
        return claimed

    def item(self, claimed: Claimed) -> object:
        """What was put. Raises `EncodingError` when it can not be read here."""
        match reader(self.queue.codec, claimed.codec).decode(claimed.payload, NO_TYPES):
            case [[item], dict(rest)] if not rest:
                return item
        raise EncodingError(f"the payload of message {claimed.lease.job} is not one item")

    def settle(self, settlement: Settlement) -> None:
        """End what we hold. Raises `LeaseLost` when it is not ours any more."""
        self.desk.store.settle(settlement)
        afterwards(self.desk.database, partial(self._count, settlement))
        afterwards(self.desk.database, self.ends.tell)
        if not isinstance(settlement, Complete):
            afterwards(self.desk.database, self.arrivals.tell)

    def settle_soon(self, settlement: Settlement) -> None:
        """`settle`, later if it can not be written now."""
        self.holding.owed.see_to(
            f"the end of message {settlement.lease.job}", partial(self.settle, settlement)
        )

    def finish(self, owner: object, complete: Callable[[Complete], object]) -> None:
        """Let `complete` end the oldest that this owner has got, or else anybody. `ValueError` for none."""
        self.holding.got.finish(
            owner,
            lambda lease: complete(Complete(lease, keeps=False)),
            lambda lease: self.settle_if_held(Complete(lease, keeps=False)),
        )

    def settle_if_held(self, settlement: Settlement) -> None:
        """`settle` what may be settled already."""

        def work() -> None:
            with suppress(LeaseLost):
                self.settle(settlement)

        self.holding.owed.see_to(f"the end of message {settlement.lease.job}", work)

    def give_back_taken(self, taker: Taker) -> None:
        """Give back what he has taken, if it came to that."""
        is_his = partial(self.holding.has_taken, taker)
        self.holding.owed.see_to("what was given back", partial(self._give_back, is_his))

    def give_back(self, lease: Lease) -> None:
        """Give this back, if this process holds it still."""
        self.holding.owed.see_to("what was given back", partial(self._give_back, lease.__eq__))

    def when_let_go(self, lease: Lease) -> Callable[[], object]:
        """What is to be called when nobody can settle this any more; it is given back with the next beat."""
        return partial(self.holding.owed.add, partial(self._pick_up, lease))

    def _pick_up(self, lease: Lease) -> None:
        if self._give_back(lease.__eq__):
            log.warning("message=%d goes back: it was let go without being settled", lease.job)

    def _give_back(self, is_meant: Callable[[Lease], bool]) -> int:
        given = self.holding.give_back(is_meant)
        if given:
            self.arrivals.tell()
        return given

    def _count(self, settlement: Settlement) -> None:
        if isinstance(settlement, (Complete, Fail)):
            self.desk.minutes.count(self.place, "completed" if isinstance(settlement, Complete) else "failed")

    def reject(self, lease: Lease, error: EncodingError) -> None:
        """A message that can not be read here has failed, or it would come first for ever."""
        log.error("fail message=%d lane=%s: %s", lease.job, self.name, error)
        self.settle_soon(Fail(lease, Failure("error", type(error).__qualname__, str(error))))

    def withdraw(self, id: int) -> None:
        """Take back what was put, if nobody has got it yet."""
        try:
            self.desk.store.delete(id)
        except (JobNotFound, NotAllowed):
            return  # somebody was quicker
        self.room.tell()
        self.ends.tell()

    def discard(self) -> None:
        """Cancel all that waits."""
        for state in _WAITING:
            self.desk.store.cancel_all(Filter(state=state, queue=self.place))
        self.room.tell()
        self.ends.tell()

    def waiting(self, bound: int = ALL) -> int:
        """How many messages wait, those that are not due yet among them."""
        return self.desk.reports.waiting(self.place, bound)

    def unfinished(self, bound: int = ALL) -> int:
        """How many messages wait, or are held by anybody."""
        return self.desk.reports.unfinished(self.place, bound)

    def _mold(self, priority: int, delay: Duration) -> Mold:
        return make_mold(
            checked({"priority": priority, "delay": delay}),
            NO_OPTIONS,
            task=MESSAGE,
            queue=self.place,
            codec=self.queue.codec.name,
            retention=self.queue.retention,
        )

    def _is_any(self) -> bool:
        store = self.desk.store
        return store.is_work_waiting([self.place]) or MESSAGE in store.parked_tasks([self.place])

    def _due(self) -> float | None:
        """Seconds to the next message that is not due yet."""
        try:
            due = self.desk.store.next_due([self.place])
        except LiteQueueError:
            return None  # who waits meets it himself when he is called
        return None if due is None else (due - self.queue.clock.now()) / SECOND

    # --- its life -----------------------------------------------------------------------------------

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The threads that wait for the disk so that event loops need not."""
        from concurrent.futures import ThreadPoolExecutor

        with self._mutex:
            if self._is_closed:
                raise QueueClosed(f"{self.queue.path}: this queue was closed; open another one")
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, "litequeue-messages")
            return self._pool

    def call_all(self) -> None:
        """Call all who wait here: there is something that they must know."""
        for line in self._lines:
            line.call_all()

    def close(self) -> None:
        """Give back what is held, once what is done is written."""
        with self._mutex:
            self._is_closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        self.holding.close()
        for line in self._lines:
            line.close()

    def before_fork(self) -> None:
        """Nothing here is inherited: see `start_afresh`."""

    def after_fork(self) -> None:
        """The parent goes on."""

    def start_afresh(self) -> None:
        """In a forked child: hold nothing, wait for nothing."""
        self._mutex = threading.Lock()
        self._pool = None
        self._is_running_on = False
        self.holding.start_afresh()
        for line in self._lines:
            line.start_afresh()
