"""Small helpers that more than one test module wants."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable
from pathlib import Path

from tests.repository import ROOT

PATIENCE_SECONDS = 30.0


def folder_for(test: unittest.TestCase, *, in_memory: bool = False) -> Path:
    """A folder that goes when the test ends; a connection left open does not matter.

    `in_memory` takes one that is never synced to a disk where there is such a place: a new file costs a dozen
    syncs.
    """
    place = next((each for each in ("/dev/shm",) if in_memory and os.access(each, os.W_OK)), None)
    folder = tempfile.TemporaryDirectory(prefix="litequeue-", dir=place, ignore_cleanup_errors=True)
    test.addCleanup(folder.cleanup)
    return Path(os.path.realpath(folder.name))


class Program:
    """A Python process that runs the code given, in which this checkout can be imported.

    It is told to go on by a line on its standard input, and says what it found by lines on its output.
    """

    def __init__(self, test: unittest.TestCase, code: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *(str(argument) for argument in arguments)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        test.addCleanup(self.end)

    def tell(self, line: str = "") -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Its next line; fails with what it wrote to standard error when there is none."""
        assert self._process.stdout is not None and self._process.stderr is not None
        watchdog = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise AssertionError(f"the process said nothing more:\n{self._process.stderr.read()}")
        return line.rstrip("\n")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal; after SIGKILL wait until it is gone."""
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait(PATIENCE_SECONDS)

    def wait(self) -> int:
        """Wait until it ends; its exit code."""
        return self._process.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """Kill it if it still runs, and close its pipes."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def together(count: int, work: Callable[[int], None]) -> None:
    """Run `work(0)` to `work(count - 1)`, each on a thread, at the same instant; raise what they raise."""
    barrier = threading.Barrier(count)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait(PATIENCE_SECONDS)
        try:
            work(number)
        except BaseException as error:  # it is raised again below, in the thread of the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    if raised:
        raise raised[0]
    if any(thread.is_alive() for thread in threads):
        raise AssertionError(f"{sum(thread.is_alive() for thread in threads)} of {count} threads hang")
