"""A worker in a container of its own, seen to die by one outside: process ids mean nothing between them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from litequeue import Queue, State
from litequeue.job import NewJobs

INSIDE = """
import os, signal, sys
from litequeue import Queue
from litequeue.job import NewWorker, Want
desk = Queue(sys.argv[1]).desk
worker = desk.workers.sign_on(NewWorker("inside", os.getpid(), ("default",), lease=3600 * 1_000_000))
desk.store.claim(worker, [Want("default", start=1, limit=1)])
print(os.getpid(), flush=True)
signal.pause()
"""
UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
CONTAINED = [*UNSHARE, sys.executable, "-c", INSIDE]


def can_unshare() -> bool:
    """Whether this machine lets us make namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@unittest.skipUnless(can_unshare(), "namespaces can not be made here")
class TestContainers(unittest.TestCase):
    """Namespaces for processes and mounts are what a container is made of; the volume is shared."""

    def test_the_death_of_a_worker_inside_is_seen_outside_within_a_second(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = str(Path(folder.name, "jobs.db"))
        desk = Queue(path).desk
        self.addCleanup(desk.database.close)
        desk.store.enqueue([NewJobs("app:task", "default", ("[[],{}]",))])
        with subprocess.Popen([*CONTAINED, path], stdout=subprocess.PIPE, text=True) as inside:
            assert inside.stdout is not None
            self.addCleanup(inside.kill)
            self.assertEqual(inside.stdout.readline(), "1\n")  # its number in there, and ours is another
            self.assertEqual(desk.workers.reap(), 0)
            inside.kill()
            killed = time.monotonic()
            while desk.workers.reap() == 0:
                self.assertLess(time.monotonic() - killed, 1.0)
        self.assertEqual(desk.reports.counts("default")[State.READY], 1)
