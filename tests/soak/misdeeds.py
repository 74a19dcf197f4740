"""Misdeeds in full: signals at every moment of everything, ten thousand Ctrl-C, the table over and over."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

from litequeue.storage.checks import broken
from tests import moments
from tests.messages import test_interrupts as of_messages
from tests.users import test_interrupts
from tests.worker import misdeeds, test_ends, test_misdeeds

SIGNALS, ROUNDS = 10_000, 20
PRODUCER = """
import signal, sys
from tests.worker.crew import double, queue

def strike(*_):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

armed, strikes, stored = False, 0, 0
signal.signal(signal.SIGINT, strike)
queue.counts()
print("ready", flush=True)
while strikes < int(sys.argv[1]):
    try:
        armed = True
        while True:
            double.enqueue(stored)
            stored += 1
    except KeyboardInterrupt:
        strikes += 1
armed = False
print(stored, flush=True)
"""


def run(scale: float) -> str:
    """Every moment at scale 1, one in ten at 0.1; and so many signals and rounds of the table."""
    step = max(1, round(1 / scale))
    with mock.patch.object(test_interrupts.InterruptCase, "long_step", step):
        struck = count_strikes(lambda: run_cases(test_interrupts))
    with mock.patch.object(of_messages.Interrupted, "step", step):
        run_cases(of_messages)
    with mock.patch.object(test_ends.AtAnyMoment, "step", step):
        run_cases(test_ends)
    acknowledged, more = interrupt_a_producer(max(1, round(scale * SIGNALS)))
    rounds = max(1, round(scale * ROUNDS))
    for _ in range(rounds):
        run_cases(test_misdeeds)
    return (
        f"{struck:,} moments struck; {max(1, round(scale * SIGNALS)):,} Ctrl-C to a producer: "
        f"{acknowledged:,} jobs acknowledged and stored, {more:,} more stored; "
        f"{len(misdeeds.TABLE)} misdeeds, twice each, {rounds} times"
    )


def run_cases(module: object) -> None:
    """Run the tests of a module; raises with what failed."""
    words = io.StringIO()
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)  # type: ignore[arg-type]
    if not unittest.TextTestRunner(words).run(suite).wasSuccessful():
        raise AssertionError(words.getvalue())


def count_strikes(work: Callable[[], None]) -> int:
    """How many moments were struck while the work was done."""
    strike_at = moments.strike_at
    struck = 0

    def counted(number: int, work: Callable[[], object], strike: moments.Strike) -> bool:
        nonlocal struck
        struck += 1
        return strike_at(number, work, strike)

    with mock.patch.object(moments, "strike_at", counted):
        work()
    return struck


def interrupt_a_producer(signals: int) -> tuple[int, int]:
    """Strike a loop of enqueues as often; how many it was told were stored, and how many more are."""
    with tempfile.TemporaryDirectory(prefix="litequeue-") as folder:
        path = Path(folder) / "jobs.db"
        program = subprocess.Popen(
            [sys.executable, "-c", PRODUCER, str(signals)],
            env={**os.environ, "LITEQUEUE_TEST_FILE": str(path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        program.stdout.readline()
        while program.poll() is None:
            program.send_signal(signal.SIGINT)
            time.sleep(0.001)
        acknowledged = int(program.stdout.read())
        with closing(sqlite3.connect(path)) as connection:
            stored = int(connection.execute("SELECT count(*) FROM litequeue_job").fetchone()[0])
            distinct = connection.execute("SELECT count(DISTINCT payload) FROM litequeue_job").fetchone()[0]
            findings = broken(connection)
    # One that was stored and not acknowledged is enqueued again, with the same argument.
    if findings or not 0 <= stored - acknowledged <= signals or distinct < acknowledged:
        raise AssertionError(f"{acknowledged} acknowledged, {stored} stored, {distinct} distinct: {findings}")
    return acknowledged, stored - acknowledged
