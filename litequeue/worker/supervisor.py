"""Several worker processes: the dead are replaced, and a crash loop ends with a message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from ..clock import SECOND, Clock
from ..errors import DatabaseError, WorkerError
from ..log import log
from ..storage.identity import Identity
from .heartbeat import LOST
from .notify import Notifier
from .settings import WorkerOptions

READY, DONE, RECYCLE = b"ready", b"done", b"recycle"
ASK, ALIVE, STUCK = b"ask", b"alive", b"stuck"
_WINDOW = 60 * SECOND
_DEATHS_PER_PROCESS = 10
_LOOK = 0.5
_ASK_EVERY = 1 * SECOND
_TIME_TO_END = 5 * SECOND


def lost_word(error: DatabaseError) -> bytes:
    """How a process tells that the file is not to be used any more, so that no other is started on it."""
    return f"{type(error).__name__} {error}".encode(errors="surrogateescape")


@dataclass(frozen=True)
class Crew:
    """What every process of a supervisor is started with."""

    path: str
    identity: Identity
    name: str
    durability: str
    lease: int
    apps: tuple[str, ...] | None
    resolver_by: str | None
    modules: tuple[str, ...]
    root: str
    max_payload: int
    log: str | None
    options: WorkerOptions

    def setting(self, share: int | None) -> str:
        """The JSON that one process is given; `share` is its part of `max_jobs`."""
        values = {**vars(self), "options": {**self.options.to_json(), "processes": 0, "max_jobs": share}}
        values["sys_path"] = [place or self.root for place in sys.path]
        return json.dumps(values)


class Member:
    """One process, and the pipe whose end tells it of our death, and us of its own."""

    def __init__(self, crew: Crew, share: int | None) -> None:
        self.share = share
        self.said: set[bytes] = set()
        self.moved_at = 0  # when it last said that its work goes on
        self._asked: int | None = None
        self._due: int | None = None  # when the next word from it, or its end, should have come
        self.pipe, theirs = Pipe()
        environment = {**os.environ, "LITEQUEUE_CHILD": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(place or crew.root for place in sys.path)
        command = [
            sys.executable,
            "-m",
            "litequeue.worker.process",
            str(theirs.fileno()),
            crew.setting(share),
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C reaches us alone, and we pass it on once
            env=environment,
            cwd=crew.root,  # this process may have moved since
        )
        theirs.close()

    def signal(self, number: int) -> None:
        """Send a signal; to our own child, by its handle, never to a number read from a file."""
        self.process.send_signal(number)

    @property
    def lost(self) -> DatabaseError | None:
        """Why the file can not be used any more, if the process said that."""
        for word in self.said:
            name, _, text = word.decode(errors="surrogateescape").partition(" ")
            for kind in LOST:
                if kind.__name__ == name:
                    return kind(text)
        return None

    def listen(self, now: int) -> bool:
        """Take what the process said; False when it has ended."""
        try:
            while self.pipe.poll():
                word = self.pipe.recv_bytes()
                self.said.add(word)
                self.moved_at = now if word == ALIVE else self.moved_at
                self._due = now + _TIME_TO_END if word in (DONE, RECYCLE) else None
        except (EOFError, OSError):
            return False
        # A child that a task has left behind may keep the pipe open.
        return self.process.poll() is None or self.pipe.poll()

    def ask(self, now: int, patience: int) -> None:
        """Ask now and then whether it lives; the answer must come within `patience`."""
        is_asked_enough = self._asked is not None and now < self._asked + _ASK_EVERY
        if self._due is None and READY in self.said and not is_asked_enough:
            self._asked, self._due = now, now + patience
            with suppress(OSError):  # it is gone, and will be buried
                self.pipe.send_bytes(ASK)

    def is_late(self, now: int) -> bool:
        """Whether what should have come from it did not."""
        return self._due is not None and now >= self._due


class Supervisor:
    """Keeps a number of worker processes alive until told to stop."""

    def __init__(self, crew: Crew, clock: Clock, notifier: Notifier | None = None) -> None:
        self._crew = crew
        self._clock = clock
        self._notifier = notifier or Notifier(None, None, clock)
        self._members: list[Member] = []
        self._deaths: deque[int] = deque()
        self._stops = 0
        self._passed_on = 0
        self._bell_read, self._bell_write = Pipe(duplex=False)
        self._end_by: int | None = None
        self._failure: WorkerError | DatabaseError | None = None
        self.is_over = False
        self.started = threading.Event()

    def run(self) -> None:
        """Start the processes and replace the dead, until all have ended.

        Raises `WorkerError` when they can not start, or die again and again, and a `DatabaseError` when
        their file can not be used any more.
        """
        try:
            for share in _shares(self._crew.options):
                self._members.append(Member(self._crew, share))
            while self._members:
                self._watch()
        finally:
            self._kill_all()
            self.is_over = True
            self.started.set()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Let the processes stop as a worker does; a second call at once. Fit for a signal handler."""
        os.write(self._bell_write.fileno(), b"!")

    def _watch(self) -> None:
        pipes: Sequence[Connection] = [member.pipe for member in self._members]
        ready = wait([*pipes, self._bell_read], _LOOK)
        if self._bell_read in ready:
            self._stops += len(os.read(self._bell_read.fileno(), 4096))
        self._pass_on_stops()
        if self._end_by is not None and self._clock.monotonic() >= self._end_by:
            log.error("stop processes=%d do not end; they are killed", len(self._members))
            self._kill_all()
        for member in list(self._members):
            if member.listen(self._clock.monotonic()):
                self._look_after(member)
            else:
                self._bury(member)
        self._notify()

    def _notify(self) -> None:
        if not self.started.is_set() and all(READY in member.said for member in self._members):
            self.started.set()
            self._notifier.ready()
        if self.started.is_set():
            moved_at = min((member.moved_at for member in self._members), default=self._clock.monotonic())
            self._notifier.progress(f"{len(self._members)} processes", moved_at)

    def _look_after(self, member: Member) -> None:
        """Kill a process that does not react for as long as a lease, or does not end when its work has.

        Something in C may keep its interpreter for ever, or a thread that a task has left behind.
        """
        now = self._clock.monotonic()
        member.ask(now, max(self._crew.lease, _TIME_TO_END))
        if member.is_late(now):
            log.error("process %d does not react; it is killed", member.process.pid)
            member.signal(signal.SIGKILL)

    def _pass_on_stops(self) -> None:
        while self._passed_on < self._stops:
            self._passed_on += 1
            self._notifier.stopping()
            patience = self._crew.options.grace if self._passed_on == 1 else 0
            self._end_by = self._clock.monotonic() + patience + _TIME_TO_END
            for member in self._members:
                member.signal(signal.SIGTERM)

    def _kill_all(self) -> None:
        for member in self._members:
            member.signal(signal.SIGKILL)
            member.process.wait()

    def _bury(self, member: Member) -> None:
        self._members.remove(member)
        member.pipe.close()
        member.signal(signal.SIGKILL)  # if it lives it has closed its descriptors, and can do nothing more
        code = member.process.wait()
        if member.lost is not None:
            self._give_up(member.lost)
            return
        if DONE in member.said or self._stops:  # the code alone may be a task's own os._exit(0)
            return
        if RECYCLE in member.said:
            log.warning("recycle process=%d", member.process.pid)
        elif READY not in member.said:
            self._give_up(
                WorkerError(f"a worker process could not start (exit code {code}); its own message is above")
            )
            return
        else:
            log.error(
                "process %d of the worker died (%s); starting another", member.process.pid, _ending(code)
            )
            if self._is_crash_loop():
                self._give_up(self._crash_loop(code))
                return
        self._members.append(Member(self._crew, member.share))

    def _is_crash_loop(self) -> bool:
        now = self._clock.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - _WINDOW:
            self._deaths.popleft()
        return len(self._deaths) > _DEATHS_PER_PROCESS * max(1, self._crew.options.processes)

    def _crash_loop(self, code: int) -> WorkerError:
        return WorkerError(
            f"{len(self._deaths)} worker processes died within {_WINDOW // SECOND} s, the last one "
            f"{_ending(code)}; something in the tasks, or in this machine, takes them down"
        )

    def _give_up(self, failure: WorkerError | DatabaseError) -> None:
        self._failure = self._failure or failure
        self.stop()


def _shares(options: WorkerOptions) -> list[int | None]:
    number = max(1, options.processes)
    if options.max_jobs is None:
        return [None] * number
    whole, rest = divmod(options.max_jobs, number)
    return [share for share in (whole + (place < rest) for place in range(number)) if share]


def _ending(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
