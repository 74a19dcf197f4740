"""One process of a supervised worker. It stops when its supervisor is gone."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from typing import Any

from ..errors import LiteQueueError
from ..log import log
from ..queue import Queue
from ..resolve import Resolver, import_apps, resolver_by, tasks_of
from ..storage.identity import require
from . import logs
from .firing import declare
from .heartbeat import LOST
from .loop import Loop
from .notify import Notifier
from .settings import WorkerOptions
from .stops import stop_signals
from .supervisor import ALIVE, DONE, READY, RECYCLE, STUCK, lost_word


def serve(pipe: Pipe, setting: dict[str, Any]) -> None:
    """Run one worker as the supervisor wants it; raises what ended it early."""
    try:
        loop = _work(pipe, setting)
    except LOST as error:
        _tell(pipe, lost_word(error))
        raise
    _tell(pipe, RECYCLE if loop.recycle else DONE)


def _work(pipe: Pipe, setting: dict[str, Any]) -> Loop:
    require(setting["path"], tuple(setting["identity"]))  # or a file would be made where one was removed
    queue = Queue(setting["path"], setting["name"], durability=setting["durability"])
    options = WorkerOptions.from_json(setting["options"])
    share_interpreter()
    found = resolver(queue, setting)
    declare(queue, found.declared())
    pulse = Notifier(None, setting["lease"], queue.clock)
    loop = Loop(queue.desk, found, options, setting["lease"], setting["max_payload"], notifier=pulse)
    for number in stop_signals():
        signal.signal(number, lambda *_: loop.stop())
    threading.Thread(target=_watch_supervisor, args=(pipe, loop, pulse), daemon=True).start()
    _tell(pipe, READY)
    loop.run()
    return loop


def share_interpreter() -> None:
    """Let a task that computes hand over the interpreter after 1 ms, not after Python's usual 5.

    A turn of the loop gives it up with every statement, and holds the file's write lock until it is through:
    beside such a task that took 50 ms. For processes of our own only; in yours, it is yours to choose.
    """
    sys.setswitchinterval(0.001)


def resolver(queue: Queue, setting: dict[str, Any]) -> Resolver:
    """What this process may run: the same as the process that started it."""
    if setting["resolver_by"] is not None:
        return resolver_by(setting["resolver_by"], queue)
    if setting["apps"] is not None:
        return Resolver({}, queue, import_apps(setting["apps"]), setting["root"])
    modules = [importlib.import_module(name) for name in setting["modules"]]
    declared = {task.name: task for module in modules for task in tasks_of(module)}
    return Resolver(declared, queue, None, setting["root"])


def _tell(pipe: Pipe, word: bytes) -> None:
    with suppress(BrokenPipeError):  # it is gone, and the loop is told so in another way
        pipe.send_bytes(word)


def _watch_supervisor(pipe: Pipe, loop: Loop, pulse: Notifier) -> None:
    seen = -1
    try:
        while pipe.recv_bytes():
            before, seen = seen, pulse.moved_at
            pipe.send_bytes(ALIVE if seen > before else STUCK)
    except (EOFError, OSError):
        loop.stop()


def main() -> int:
    """Begin; the pipe's descriptor and the setting come as arguments."""
    descriptor, setting = int(sys.argv[1]), json.loads(sys.argv[2])
    os.set_inheritable(descriptor, False)  # or what a task starts would keep it open after our death
    sys.path[:] = setting["sys_path"]
    if setting["log"] is not None:
        logs.configure(setting["log"])
    try:
        serve(Pipe(descriptor), setting)
    except LiteQueueError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
