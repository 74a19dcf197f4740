"""Connections, transactions and the file itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from sqlite3 import Connection
from typing import TypeVar

from .. import errors
from . import mending, opening, transactions
from .checkpoint import LogKeeper, carries_reset_fault
from .connecting import connect
from .distrust import Distrust
from .forks import keep_for_ever, watch
from .gate import Durability, Gate, Ticket, fail, strictest
from .hints import Hints
from .identity import Files
from .patience import Patience
from .readers import Readers
from .sidefile import SideFile, open_side_file
from .transactions import Lent, roll_back, run_group, run_on_foreign, run_plain, savepoint
from .translate import DRIVER_ERRORS, is_busy, translate, translated

T = TypeVar("T")

MEMORY = ":memory:"
_LONGEST_WAIT_TO_FORK = 10.0


class Database:
    """One file, opened by one process. Safe to use from many threads, and to inherit by `fork`.

    With `read_only` it makes and changes nothing, and a file without a queue is an error. Raises the errors
    of the file family: `MissingFile`, `NotADatabase`, `ReadOnly`, `SchemaTooNew` and so on. With
    `is_probe` it waits no longer than seconds for a file that another has locked.
    """

    _readers: Readers
    _writers: dict[Durability, Connection]
    _lent: Lent | None
    _side: SideFile | None
    _patience: Patience
    _keeper: LogKeeper | None

    def __init__(
        self,
        path: str,
        durability: Durability = Durability.FULL,
        *,
        read_only: bool = False,
        is_probe: bool = False,
    ) -> None:
        opening.require_sqlite()
        self.in_memory = path == MEMORY
        self.path = path if self.in_memory else opening.find_or_make(path, read_only=read_only)
        self.read_only = read_only and not self.in_memory
        self.mode = opening.reading_mode(self.path) if self.read_only else "rw"
        self.durability = durability
        self._is_probe = is_probe
        self._closed = False
        self._spoilt = False
        self.files = Files(None if self.in_memory else self.path)
        self._reset()
        self._prepare()
        watch(self)

    # --- the verbs ---------------------------------------------------------------------------------

    def read(self, operation: Callable[[Connection], T]) -> T:
        """Run a reading operation on this thread's own connection; it must fetch all it wants."""
        joined = self.joined()
        if joined is not None:
            with translated(self.path, self._distrust.heed):
                return run_plain(operation, joined)
        if self.in_memory:
            return self.write(operation)
        self._require_open()
        try:
            return self._readers.run(operation)
        except DRIVER_ERRORS as error:
            raise self._ours(error) from error

    def write(
        self,
        operation: Callable[[Connection], T],
        durability: Durability = Durability.NORMAL,
        *,
        is_single: bool = False,
    ) -> T:
        """Run an operation in a write transaction, perhaps together with those of other threads.

        It joins the transaction that this thread has open on this file, if there is one. A single statement
        (`is_single`) is spared BEGIN and COMMIT when it is alone.
        """
        joined = self.joined()
        if joined is not None:
            with translated(self.path, self._distrust.heed), savepoint(joined):
                return run_plain(operation, joined)
        self.require_free()
        ticket = Ticket(operation, durability, is_single)
        return mending.at_need(self._gate.pass_through, ticket)  # type: ignore[no-any-return]

    def write_on(self, connection: Connection, operation: Callable[[Connection], T]) -> T:
        """Run an operation inside the transaction of the caller's own connection to the same file."""
        return run_on_foreign(self.path, self.files.identity, connection, operation)

    def begin(self) -> Connection:
        """A connection inside a write transaction, which `finish` must end; all other writers wait."""
        self.require_free()
        lent = Lent(Ticket(), None if self.in_memory else self.files.identity)
        try:
            self._gate.enter(lent.ticket)
            self._lent = lent
            self._distrust.end(self._patience.begin, is_new=True)
            connection = lent.connection = self._lend()
            self._patience.begin(connection, lent.ticket.since)
            connection.text_factory = str  # the borrower's; what we read through it has our own again
        except BaseException as error:
            self._take_back(lent)
            if isinstance(error, DRIVER_ERRORS):
                raise self._ours(error) from error
            raise
        return connection

    def finish(self, connection: Connection, *, commit: bool) -> None:
        """End the transaction of `begin`; a commit raises when its statements had already ended it."""
        lent = self._lent
        if lent is None or lent.connection is not connection:
            raise errors.DatabaseError(
                f"{self.path}: this transaction is over, or belongs to the process that forked this one"
            )
        try:
            if commit:
                self._commit_lent(connection)
        finally:
            self._take_back(lent)
        for call in lent.afterwards if commit else ():
            call()

    def abandon(self, connection: Connection) -> None:
        """Roll back the transaction of `begin` if it is not over; it may be called again."""
        if self._lent is not None and self._lent.connection is connection:
            self._take_back(self._lent)

    def apart(self, operation: Callable[[Connection], T]) -> T:
        """Run an operation on a connection of its own, outside of any transaction of this thread."""
        self._require_open()
        with (
            translated(self.path, self._distrust.heed),
            closing(self._connect(self.durability)) as connection,
        ):
            return operation(connection)

    @contextmanager
    def joining(self, connection: Connection) -> Iterator[Lent]:
        """Within the block, what this thread reads and writes here goes through the connection of `begin`."""
        lent = self._lent
        assert lent is not None and lent.connection is connection
        with transactions.entering(lent):
            yield lent

    def joined(self) -> Connection | None:
        """The connection whose transaction this thread is in, if any; a task's was lent by its worker's."""
        if self._pid != os.getpid():
            self.start_afresh()
        lent = transactions.entered()
        if lent is None:
            return None
        is_here = lent is self._lent or (lent.identity == self.files.identity and not self.read_only)
        return transactions.connection_of(lent, self.path) if is_here else None

    # --- the file ----------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise `FileReplaced` when the file that was opened, or its log, has lost its name."""
        self.files.require()

    def verify_version(self) -> None:
        """Raise `SchemaTooNew` when a newer litequeue has upgraded the file meanwhile."""
        self.read(lambda connection: opening.stored_version(connection, self.path))

    @property
    def side(self) -> SideFile | None:
        """The side file with the locks, where there is one."""
        return self._side

    def close(self) -> None:
        """Close every connection; the operation that runs at the gate is finished first."""
        self.joined()  # lets go of what a fork left us
        if not self._closed:
            self.require_free()
            self._gate.alone(self._close)

    # --- inside ------------------------------------------------------------------------------------

    def _close(self) -> None:
        self._closed = True
        self._let_go()
        self.hints.close()
        if self._side is not None:
            self._side.close()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._fork: Ticket | None = None
        self._readers = Readers(self._connect)
        self._writers = {}
        self._lent = None
        self._side = None
        self._patience = Patience(None, self.durability, is_probe=self._is_probe)
        self._gate = Gate(self._run_group, self._patience.now)
        self.hints = Hints(None if self.in_memory else self.path)
        self._keeper = None
        self._distrust = Distrust(None if self.in_memory else self.path, self._connect, self._let_go)

    def _prepare(self) -> None:
        since = self._patience.now()
        with translated(self.path):
            connection = self._connect()
            try:
                self._patience.insist(lambda: opening.stored_version(connection, self.path), since)
                self._open_side_file()  # not before: nothing is made beside a file that we refuse
                if self.read_only:
                    opening.require_current(connection, self.path)
                else:
                    # The change to WAL needs the file alone, and SQLite does not wait for that.
                    begin = partial(self._patience.begin, since=since)
                    self._patience.insist(lambda: opening.prepare(connection, self.path, begin), since)
                self.files.note()
                opening.set_synchronous(connection, self.durability)
            except BaseException:
                opening.close_untouched(connection)
                raise
            self._writers[self.durability] = connection

    def _require_open(self) -> None:
        if self._closed:
            raise errors.QueueClosed(f"{self.path}: this queue was closed; open another one")
        if self._spoilt:
            raise errors.DatabaseError(
                f"{self.path}: this process was forked inside a transaction, and can not use the file; "
                "fork outside of transactions, or use multiprocessing's spawn"
            )

    def require_free(self) -> None:
        """Raise instead of waiting for what this very thread is at."""
        self._require_open()
        if self._lent is not None and self._lent.thread == threading.get_ident():
            raise errors.DatabaseError(
                f"{self.path}: this thread has a transaction open, which this call can not join; "
                "end it first, and do not await inside it"
            )
        if self._gate.is_inside(threading.get_ident()):
            raise errors.DatabaseError(
                f"{self.path}: this thread is in the middle of a write, or another that the end of the "
                "interpreter has stopped; leave what a signal's handler or a __del__ wants to a thread"
            )

    def _open_side_file(self) -> None:
        if not self.in_memory:
            self._side = open_side_file(f"{self.path}-lock", read_only=self.read_only)
            self._patience = Patience(self._side, self.durability, is_probe=self._is_probe)
            self._distrust.share(None if self.read_only else self._side)
            if carries_reset_fault():
                is_synced = self.durability is Durability.FULL
                begin, heed = self._patience.begin, self._distrust.heed
                self._keeper = LogKeeper(self.path, self._connect, begin, heed, is_synced=is_synced)

    def _writer(self, durability: Durability) -> Connection:
        """The writing connection for this durability; only the leader of the gate uses it."""
        self._require_open()
        if self.read_only:
            raise errors.ReadOnly(
                f"{self.path}: it was opened for reading only; open it with Queue(…) to change it"
            )
        if self.in_memory or self.durability is Durability.NORMAL:
            durability = self.durability
        if durability not in self._writers:
            self._writers[durability] = self._connect(durability)
        return self._writers[durability]

    def _lend(self) -> Connection:
        """A connection of its own: what the borrower leaves on it, or still does later, ends with it."""
        if self.in_memory or self.read_only:
            return self._writer(self.durability)
        return self._connect(self.durability)

    def _commit_lent(self, connection: Connection) -> None:
        transactions.require_begun(connection, self.path)
        with translated(self.path, self._distrust.heed):
            connection.execute("COMMIT")
        self.verify()
        if self._keeper is not None:
            self._keeper.tend(connection)

    def _take_back(self, lent: Lent) -> None:
        """End what `begin` began, whatever became of it, and let the next writer in."""
        try:
            transactions.end(lent)
        finally:
            self._gate.leave(lent.ticket)
            if self._lent is lent:
                self._lent = None

    def _let_go(self) -> None:
        self.files.forget_log()
        self._readers.close()
        kept = self._keeper.release() if self._keeper is not None else []
        writers, self._writers = self._writers, {}  # first, or a signal might leave closed ones there
        close = opening.close_untouched if self._distrust.is_log_in_doubt else Connection.close
        for connection in [*writers.values(), *kept]:
            close(connection)

    def _connect(self, durability: Durability | None = None) -> Connection:
        self._require_open()
        connection = connect(None if self.in_memory else self.path, self.mode)
        try:
            # Even these look into the file, which another process may have to itself while it closes it.
            self._patience.insist(lambda: opening.set_pragmas(connection, durability))
        except BaseException:
            connection.close()
            raise
        return connection

    def _run_group(self, leader: Ticket) -> None:
        group = [leader, *leader.group]
        connection = None
        try:
            self._distrust.end(self._patience.begin)
            connection = self._writer(strictest(group) if leader.group else leader.durability)
            if leader.is_single and not leader.group:
                run = partial(run_group, connection, group, self._ours)
                self._patience.first(connection, run, leader.since)
                leader.settled = True
            else:
                self._patience.begin(connection, leader.since)
                run_group(connection, group, self._ours)
                leader.settled = True
                connection.execute("COMMIT")
            self.files.confirm()
        except Exception as error:
            roll_back(connection)
            fail(leader, partial(self._ours, error), alone=is_busy(error))  # each has its own patience
        except BaseException:
            # A signal struck the leader alone: the others neither fail for it nor run twice.
            leader.settled = leader.settled and connection is not None and not connection.in_transaction
            roll_back(connection)
            raise
        else:
            if self._keeper is not None:
                self._keeper.tend(connection)

    def _ours(self, error: Exception) -> Exception:
        """What to raise for an error of the driver or the system; a file that is gone explains most."""
        if not isinstance(error, DRIVER_ERRORS):
            return error
        self._distrust.heed(error)
        try:
            self.verify()
        except errors.DatabaseError as worse:
            return worse
        return translate(error, self.path)

    def before_fork(self) -> None:
        """Close every connection; a transaction of this thread, or a very long one, makes it impossible."""
        if self.in_memory or self._closed or self._gate.is_inside(threading.get_ident()):
            return
        self._fork = Ticket()
        if self._gate.enter(self._fork, _LONGEST_WAIT_TO_FORK):
            self._let_go()
            self._readers.freeze()
            self._fork.settled = True  # nothing is open that a child must not have

    def after_fork(self) -> None:
        """In the parent: go on, with new connections; it may be called again."""
        if self._fork is not None:
            self._readers.thaw()
            self._gate.leave(self._fork)
            self._fork = None

    def start_afresh(self) -> None:
        """In a forked child: start afresh, and never free a connection that was inherited after all."""
        is_clean = self._fork is not None and self._fork.settled
        self._spoilt = self._spoilt or not (is_clean or self.in_memory or self._closed)
        lent = [] if self._lent is None else [transactions.forsake(self._lent)]
        kept = self._keeper.release() if self._keeper is not None else []
        for connection in [*self._readers.connections, *self._writers.values(), *lent, *kept]:
            if connection is not None:
                keep_for_ever(connection)
        self.hints.drop()
        if self._side is not None:
            self._side.close()
        self._closed = self._closed or self.in_memory
        self._reset()
        if not self._closed:
            self._open_side_file()
